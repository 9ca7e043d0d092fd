"""A data set's dictionaries, seen from the language that is translated into."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError


def translations(dataset: MultiviewDataset, model: str) -> dict[tuple[str, str], NDArray[np.int64]]:
    """Return the translations between text views, in both directions of every dictionary."""
    found: dict[tuple[str, str], NDArray[np.int64]] = {}
    for (first, second), pairs in dataset.dictionaries.items():
        for source, target, rows in ((first, second, pairs), (second, first, pairs[:, ::-1])):
            given = [rows, found.get((source, target), np.empty((0, 2), np.int64))]
            found[source, target] = np.unique(np.concatenate(given).astype(np.int64), axis=0)
    apart = _not_tied(list(dataset.text_views), found)
    if apart or not found:
        raise DataError(
            f"{model} ties languages by dictionaries, and none ties "
            f"{', '.join(apart or dataset.text_views)} to the rest; give one with "
            "dataset.with_dictionary(view, other view, pairs of words or a file), or octis-m3l "
            "build --dictionary VIEW,VIEW=FILE; or leave the view out "
            "(dataset.with_views, --views)."
        )
    return found


def _not_tied(views: list[str], found: Iterable[tuple[str, str]]) -> list[str]:
    """Return the views that no chain of dictionaries ties to the first."""
    tied, grown = set(views[:1]), True
    while grown:
        further = {second for first, second in found if first in tied} - tied
        grown = bool(further)
        tied |= further
    return [name for name in views if name not in tied]
