"""New items for a trained model, as they are named on the command line."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from octis_m3l.data.arrays import read_array
from octis_m3l.data.item_checks import is_missing
from octis_m3l.data.records import format_of, read_table, read_text
from octis_m3l.errors import DataError, check_known, suggest
from octis_m3l.models.output import ModelOutput

_LONGEST_NAME = 200


def only_language(model: Any) -> str:
    """Return the one text view that a model infers."""
    output: ModelOutput = model.output
    languages = [name for name in output.views if name in output.vocabularies]
    if len(languages) != 1:
        raise DataError(
            f"the model knows the views {', '.join(output.views)}; say which one the items belong "
            "to: --view VIEW, or for a table --text VIEW=COLUMN."
        )
    return languages[0]


def read_items(given: Sequence[str], model: Any, view: str, column: str | None = None) -> Any:
    """Return texts, paths of pictures, or embeddings."""
    output: ModelOutput = model.output
    check_known(view, output.views, "view")
    if len(given) == 1 and given[0].endswith(".npy"):
        return np.asarray(read_array(given[0], view), np.float32)
    lines: list[str] = []
    for item in given:
        if column is not None:
            lines += _column(item, column)
        else:
            lines += _standard_input() if item == "-" else [item]
    are_texts = view in output.vocabularies
    if not are_texts:
        lines = [line for line in lines if line.strip()]
    if not any(line.strip() for line in lines):
        raise DataError("there is nothing to infer: give texts, paths, or lines on stdin.")
    if are_texts:
        return lines if column is not None else [_text(line) for line in lines]
    missing = [line for line in lines if not Path(line).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(lines)} pictures are missing, the first is {missing[0]}."
        )
    return [Path(line) for line in lines]


def _column(table: str, column: str) -> list[str]:
    """Return a column of a table, "" where a cell is empty."""
    frame = read_table(table)
    names = frame.columns.tolist()
    if names.count(column) != 1:
        times = names.count(column) or "no"
        raise DataError(f"{table} has {times} column(s) '{column}'.{suggest(column, names)}")
    return ["" if is_missing(cell) else str(cell) for cell in frame[column]]


def _standard_input() -> list[str]:
    try:
        return [line.rstrip("\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not written in UTF-8 ({error}).") from None


def _text(item: str) -> str:
    """Return a text, or the content of the text file that it names."""
    path = Path(item)
    if len(item.split()) != 1 or len(item) > _LONGEST_NAME or not path.suffix:
        return item
    if path.suffix == ".txt":
        return read_text(path)
    if format_of(path):
        raise DataError(
            f"{item} is a table; say which view its texts are of, and their column: "
            "--text VIEW=COLUMN."
            if path.is_file()
            else f"there is no file {item}."
        )
    if path.is_file():
        raise DataError(
            f"{item} is a file; expected a text, a .txt file, or - for lines of standard input."
        )
    return item
