"""New items for a trained model, from the command line."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from octis_m3l.data.arrays import read_array
from octis_m3l.errors import DataError
from octis_m3l.models.output import ModelOutput


def only_language(model: Any) -> str:
    """Return the one view of texts that a model infers.

    Parameters
    ----------
    model : TopicModel
        Trained.

    Raises
    ------
    DataError
        If there are several, or none.
    """
    output: ModelOutput = model.output
    languages = [name for name in output.views if name in output.vocabularies]
    if len(languages) != 1:
        raise DataError(
            f"the model knows the views {', '.join(output.views)}; say which one the items are of: "
            f"--view {(languages or output.views)[0]}."
        )
    return languages[0]


def read_items(given: Sequence[str], model: Any, view: str) -> Any:
    """Return texts, paths of pictures, or embeddings.

    Parameters
    ----------
    given : sequence of str
        Texts, paths of text files (``.txt``) or pictures, one ``.npy`` of embeddings, or '-' for
        lines from standard input.
    model : TopicModel
        The model that will infer them.
    view : str
        Their view.

    Raises
    ------
    DataError
        If the view is unknown, there is nothing, or a picture's file is missing.
    """
    output: ModelOutput = model.output
    model._known_view(view, output.views)
    if len(given) == 1 and given[0].endswith(".npy"):
        return np.asarray(read_array(given[0], view), np.float32)
    lines: list[str] = []
    for item in given:
        lines += [line.rstrip("\n") for line in sys.stdin] if item == "-" else [item]
    if view not in output.vocabularies:
        lines = [line for line in lines if line.strip()]
    if not any(line.strip() for line in lines):
        raise DataError("there is nothing to infer: give texts, paths, or lines on stdin.")
    if view in output.vocabularies:
        return [_text(line) for line in lines]
    missing = [line for line in lines if not Path(line).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(lines)} pictures are missing, the first is {missing[0]}."
        )
    return [Path(line) for line in lines]


def _text(item: str) -> str:
    path = Path(item) if item.endswith(".txt") else None
    return path.read_text(encoding="utf-8") if path is not None and path.is_file() else item
