"""Words that are near each other, by the cosine of their vectors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

_SCORES_AT_ONCE = 2**22


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the rows at length one; zeros stay."""
    given = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(given, axis=1, keepdims=True)
    return given / np.where(lengths > 0, lengths, 1.0)


def nearest_words(
    vectors: NDArray[np.floating], others: NDArray[np.floating] | None, count: int
) -> NDArray[np.int64]:
    """Return the nearest words of each word by cosine."""
    own = unit_rows(vectors)
    other = own if others is None else unit_rows(others)
    possible = max(0, min(count, len(other) - (others is None)))
    found = np.full((len(own), possible), -1, np.int64)
    known = other.any(axis=1)
    step = max(1, _SCORES_AT_ONCE // max(1, len(other)))
    for start in range(0, len(own) if possible else 0, step):
        piece = slice(start, min(start + step, len(own)))
        # Equal vectors get equal scores, whatever the last bits of a matrix product.
        scores = np.round(own[piece] @ other.T, 12)
        scores[:, ~known] = -np.inf
        if others is None:
            scores[np.arange(piece.stop - start), np.arange(start, piece.stop)] = -np.inf
        # All that are as near as the k-th: ties at the edge are settled by the index.
        edge = np.partition(scores, len(other) - possible, axis=1)[:, len(other) - possible, None]
        near = scores > edge
        tied = (scores == edge) & (near.sum(axis=1, keepdims=True) < possible)
        room = possible - near.sum(axis=1, keepdims=True)
        near |= tied & (np.cumsum(tied, axis=1) <= room)
        places = np.nonzero(near)[1].reshape(-1, possible)
        values = np.take_along_axis(scores, places, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        chosen = np.take_along_axis(places, order, axis=1)
        chosen[~np.isfinite(np.take_along_axis(values, order, axis=1))] = -1
        chosen[~own[piece].any(axis=1)] = -1
        found[piece] = chosen
    return found


def mutually_nearest(
    vectors: NDArray[np.floating], others: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Return the pairs of words of two languages that are each other's nearest: a dictionary.

    Parameters
    ----------
    vectors, others : array (words × dimensions)
        In one space. A word whose vector is zero is in no pair.

    Returns
    -------
    array of int64 (pairs × 2)
        For `MultiviewDataset.with_dictionary`; ascending.

    References
    ----------
    Conneau et al. (2018), Word translation without parallel data, ICLR.
    """
    one, other = nearest_words(vectors, others, 1)[:, 0], nearest_words(others, vectors, 1)[:, 0]
    rows = np.arange(len(vectors))
    kept = (one >= 0) & (other[np.maximum(one, 0)] == rows)
    return np.stack([rows[kept], one[kept]], axis=1)


def near_words(vectors: NDArray[np.floating], threshold: float) -> "csr_array[Any]":
    """Return which words are near which, by a threshold."""
    unit = unit_rows(vectors)
    rows, columns = [], []
    step = max(1, _SCORES_AT_ONCE // max(1, len(unit)))
    for start in range(0, len(unit), step):
        row, column = np.nonzero(unit[start : start + step] @ unit.T >= threshold)
        row += start
        # A block's product is no exact transpose of its mirror image's: one half tells for both.
        upper = column > row
        rows.append(row[upper])
        columns.append(column[upper])
    row, column = np.concatenate(rows), np.concatenate(columns)
    known = np.abs(unit).sum(axis=1) > 0
    kept = known[row] & known[column]
    row, column = row[kept], column[kept]
    own = np.arange(len(unit))
    places = np.concatenate([row, column, own]), np.concatenate([column, row, own])
    return csr_array((np.ones(len(places[0])), places), shape=(len(unit), len(unit)))
