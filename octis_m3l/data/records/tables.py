"""Tables in files, whatever their format, as frames of text."""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd

from octis_m3l.data.records.decoding import read_text
from octis_m3l.data.records.delimited import fits, read_delimited
from octis_m3l.data.records.json_lines import read_objects
from octis_m3l.errors import DataError, SettingsError

DELIMITED = (".csv", ".tsv", ".tab")
JSON_LINES = (".jsonl", ".ndjson")
WORKBOOKS = (".xlsx", ".xlsm")


def format_of(path: Path) -> str:
    """Return the suffix that tells how a table is written, "" if it is none that is read."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    last = suffixes[-1] if suffixes else ""
    return last if last in (*DELIMITED, *JSON_LINES, *WORKBOOKS) else ""


def read_table(
    path: str | Path, *, delimiter: str | None = None, encoding: str | None = None
) -> pd.DataFrame:
    """Return a table from a file: every cell a str, None where it is empty.

    Fields of JSON lines that hold lists, numbers with a fraction, true or false stay such.
    """
    path = Path(path)
    kind = format_of(path)
    if delimiter is not None and kind not in DELIMITED:
        raise SettingsError(
            f"delimiter={delimiter!r}: {path} is no .csv or .tsv file; leave it out."
        )
    if kind in DELIMITED:
        chosen, rows = read_delimited(path, read_text(path, encoding), delimiter)
        remedy = (
            f"Put a text that holds {chosen!r} in quotes, or give another delimiter (--delimiter)"
        )
        return _as_frame(rows, f"{path}, line", remedy)
    if kind in JSON_LINES:
        return read_json_lines(path, encoding)
    if not kind:
        raise DataError(f"{path}: expected a .csv, .tsv or .jsonl file (.gz too), or .xlsx.")
    if encoding is not None:
        raise SettingsError(f"encoding={encoding!r}: {path} has none to choose; leave it out.")
    return _as_frame(_sheet(path), f"{path}, row", "Give the column a name")


def read_json_lines(path: Path, encoding: str | None = None) -> pd.DataFrame:
    """Return the objects of a JSON lines file; a field within a field is a column with a dot."""
    objects = read_objects(path, encoding)
    try:
        frame: pd.DataFrame = pd.json_normalize(objects)
    except RecursionError:
        raise DataError(f"{path}: its fields are nested too deeply; flatten them.") from None
    return frame


def _as_frame(rows: Iterable[tuple[int, list[str]]], where: str, remedy: str) -> pd.DataFrame:
    """Return rows as a frame; `where` and `remedy` are for the errors."""
    listed = iter(rows)
    names = [name.strip() for name in next(listed, (0, []))[1]]
    while names and not names[-1]:
        names.pop()
    width = len(names)
    if not width:
        raise DataError(f"{where.rpartition(', ')[0]} is empty; expected a header and rows.")
    content: list[list[str | None]] = []
    short = []
    for number, cells in listed:
        if len(cells) >= width and not fits(cells, width):
            shown = " | ".join(cell[:20] for cell in cells[: width + 1])
            raise DataError(
                f"{where} {number}: {len(cells)} cells where the header has {width} "
                f"({', '.join(names)}): {shown}. {remedy}."
            )
        if len(cells) < width:
            short.append((number, cells))
        content.append([cell or None for cell in cells[:width]] + [None] * (width - len(cells)))
    if short:
        number, cells = short[0]
        warnings.warn(
            f"{where} {number}: {len(cells)} cells where the header has {width} "
            f"({', '.join(names)}): {' | '.join(cell[:20] for cell in cells)}. In all {len(short)} "
            "row(s) are so short; what is missing at their end is taken as empty. If a text has a "
            "line break, put it in quotes.",
            stacklevel=3,
        )
    return pd.DataFrame(content, columns=names, dtype=object)


def _sheet(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheet = book.worksheets[0]
        rows = [[_written(cell) for cell in row] for row in sheet.iter_rows()]
        names = book.sheetnames
        book.close()
    except FileNotFoundError:
        raise DataError(f"{path} is missing; check its path.") from None
    except MemoryError:
        raise
    except Exception as error:
        # A damaged archive, XML or style: openpyxl raises what its parts raise.
        raise DataError(
            f"{path} can't be read as a workbook ({error}); save it again as .xlsx, or as .csv."
        ) from None
    if len(names) > 1:
        warnings.warn(
            f"{path} has the sheets {', '.join(names)}: '{names[0]}' is read.", stacklevel=4
        )
    while rows and not any(rows[-1]):
        rows.pop()
    wide = max((number for row in rows for number, cell in enumerate(row) if cell), default=0)
    return ((n, row) for n, row in enumerate(rows, 1) if any(row) or wide == 0)


def _written(cell: Any) -> str:
    value = cell.value
    if value is None or cell.data_type == "e":
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
