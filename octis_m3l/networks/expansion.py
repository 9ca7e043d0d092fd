"""Bags of words widened by the neighbours of their words, within a language and across."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from octis_m3l.data.batches import SparseRows

_SCORES_AT_ONCE = 2**22


def nearest_words(
    vectors: NDArray[np.floating], others: NDArray[np.floating] | None, count: int
) -> NDArray[np.int64]:
    """Return the nearest words of each word by cosine.

    Parameters
    ----------
    vectors : array (words × dimensions)
        Of the words.
    others : array (other words × dimensions), or None
        Of the words to choose from; None: the words themselves, a word being no neighbour of its
        own.
    count : int
        k; all of the others, if they are fewer.

    Returns
    -------
    array of int64 (words × k)
        Nearest first, of equally near ones the lower index. A word whose vector is zero has no
        neighbours and is none: −1 stands in their place.
    """
    own = _unit(vectors)
    other = own if others is None else _unit(others)
    possible = max(0, min(count, len(other) - (others is None)))
    found = np.full((len(own), possible), -1, np.int64)
    known = other.any(axis=1)
    step = max(1, _SCORES_AT_ONCE // max(1, len(other)))
    for start in range(0, len(own) if possible else 0, step):
        piece = slice(start, min(start + step, len(own)))
        scores = own[piece] @ other.T
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


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    given = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(given, axis=1, keepdims=True)
    return given / np.where(lengths > 0, lengths, 1.0)


def expansion_table(
    vectors: Mapping[str, NDArray[np.floating]], view: str, count: int
) -> NDArray[np.int64]:
    """Return, for each word of a view, the words that stand for it in the joint vocabulary.

    Parameters
    ----------
    vectors : mapping of view to array (vocabulary × dimensions)
        Word vectors of all views, in one space; the joint vocabulary is theirs, one after another.
    view : str
        The view.
    count : int
        k.

    Returns
    -------
    array of int64 (vocabulary × (1 + k · views))
        The word itself, then its k nearest in each view; −1 where there is none.
    """
    first, columns = 0, []
    for name, of_view in vectors.items():
        own = name == view
        near = nearest_words(vectors[view], None if own else of_view, count)
        columns.append(np.where(near >= 0, near + first, -1))
        if own:
            columns.insert(0, (np.arange(len(of_view)) + first)[:, None])
        first += len(of_view)
    return np.concatenate(columns, axis=1)


class Expansion(nn.Module):
    """G = [P(I + N_own) | P N_other] of a batch, P being which words a document has.

    Each word that is there, however often, counts once, and so does each neighbour for each word
    that it is a neighbour of. Any number of views: neighbours in each.

    Parameters
    ----------
    table : array of int64 (vocabulary × places)
        As `expansion_table` gives it.

    References
    ----------
    Phat et al. (2026), GloCTM.
    """

    table: Tensor

    def __init__(self, table: NDArray[np.int64]) -> None:
        super().__init__()
        self.register_buffer("table", torch.from_numpy(table))

    def forward(self, words: SparseRows) -> SparseRows:
        """Return the widened bags of words, over the joint vocabulary.

        Parameters
        ----------
        words : SparseRows
            Bags of words, each word of a row once.

        Returns
        -------
        SparseRows
            A word may have several entries in one row; they add up.
        """
        joint = self.table[words.words]
        there = joint >= 0
        rows = words.rows[:, None].expand_as(joint)[there]
        counts = words.counts.new_ones(len(rows))
        totals = torch.zeros_like(words.totals).index_add(0, rows, counts)
        return SparseRows(rows, joint[there], counts, totals)
