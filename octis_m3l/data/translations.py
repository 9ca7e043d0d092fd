"""A data set's dictionaries, seen from the language that is translated into."""

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError


def translations(dataset: MultiviewDataset, model: str) -> dict[tuple[str, str], NDArray[np.int64]]:
    """Return the translations between text views, in both directions of every dictionary.

    Parameters
    ----------
    dataset : MultiviewDataset
        With one dictionary or more.
    model : str
        Who asks, for the message.

    Returns
    -------
    dict of (view, view) to array of int64 (pairs × 2)
        Word of the first view, word of the second; each pair once, ascending.

    Raises
    ------
    DataError
        If there is no dictionary between text views, or none of a view.
    """
    found: dict[tuple[str, str], NDArray[np.int64]] = {}
    for (first, second), pairs in dataset.dictionaries.items():
        for source, target, rows in ((first, second, pairs), (second, first, pairs[:, ::-1])):
            given = [rows, found.get((source, target), np.empty((0, 2), np.int64))]
            found[source, target] = np.unique(np.concatenate(given).astype(np.int64), axis=0)
    alone = [name for name in dataset.text_views if name not in {view for view, _ in found}]
    if alone or not found:
        raise DataError(
            f"{model} ties languages by dictionaries, and there is none of {', '.join(alone)}; "
            "give one with dataset.with_dictionary(view, other view, pairs of words or a file), "
            "or leave the view out (dataset.with_views)."
        )
    return found
