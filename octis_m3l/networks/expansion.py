"""Bags of words with the neighbours of their words added, within a language and across."""

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from octis_m3l.data.batches import SparseRows
from octis_m3l.data.words import nearest_words


def expansion_table(
    vectors: Mapping[str, NDArray[np.floating]], view: str, count: int
) -> NDArray[np.int64]:
    """Return each word's own index and its neighbours' in the joint vocabulary.

    Parameters
    ----------
    vectors : mapping of view to array (vocabulary × dimensions)
        Word vectors of all views, in one space. The joint vocabulary is theirs, concatenated.
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
    """G = [P(I + N_own) | P N_other] of a batch, where P says which words a document has.

    Each word that occurs, however often, counts once, and so does each neighbour for each word
    that it is a neighbour of. With more than two views there are neighbours in each.

    Parameters
    ----------
    table : array of int64 (vocabulary × places)
        As `expansion_table` returns it.

    References
    ----------
    Phat et al. (2026), GloCTM.
    """

    table: Tensor

    def __init__(self, table: NDArray[np.int64]) -> None:
        super().__init__()
        self.register_buffer("table", torch.from_numpy(table))

    @classmethod
    def empty(cls, vocabularies: Mapping[str, int], view: str, count: int) -> Self:
        """Return a module whose table is to be set.

        Parameters
        ----------
        vocabularies : mapping of view to int
            The sizes of all views' vocabularies.
        view : str
            The documents' view.
        count : int
            k.
        """
        others = sum(min(count, size - (name == view)) for name, size in vocabularies.items())
        return cls(np.zeros((vocabularies[view], 1 + others), np.int64))

    def forward(self, words: SparseRows) -> SparseRows:
        """Return the expanded bags of words, over the joint vocabulary.

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
        present = joint >= 0
        rows = words.rows[:, None].expand_as(joint)[present]
        counts = words.counts.new_ones(len(rows))
        totals = torch.zeros_like(words.totals).index_add(0, rows, counts)
        return SparseRows(rows, joint[present], counts, totals)
