"""Links between words: of two languages by dictionaries, of neighbours by word vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn

from octis_m3l.data.batches import SparseRows
from octis_m3l.data.words import near_words, nearest_words

Vectors = NDArray[np.floating]


class Translation(nn.Module):
    """φM, where row i of M has (f_i · translation_ij + 1) for each j, scaled to sum to one.

    f_i is the frequency of source word i. M is computed as a sparse matrix plus one of rank one,
    so that no matrix of the two vocabularies is ever made.

    Parameters
    ----------
    pairs, sources, targets : int
        The numbers of translations in the dictionary, and of words in the two vocabularies.

    References
    ----------
    Wu et al. (2020), Learning multilingual topics with neural variational inference (NMTM).
    """

    source: Tensor
    target: Tensor
    weight: Tensor
    ones: Tensor

    def __init__(self, pairs: int, sources: int, targets: int) -> None:
        super().__init__()
        self.targets = targets
        self.register_buffer("source", torch.zeros(pairs, dtype=torch.int64))
        self.register_buffer("target", torch.zeros(pairs, dtype=torch.int64))
        self.register_buffer("weight", torch.zeros(pairs))
        self.register_buffer("ones", torch.zeros(sources))

    def fit(self, pairs: NDArray[np.int64], frequencies: NDArray[np.int64]) -> None:
        """Set the dictionary's pairs (source word, target word; each once) and f."""
        f = np.asarray(frequencies, np.float64)
        source = pairs[:, 0]
        totals = f * np.bincount(source, minlength=len(f)) + self.targets
        self.source.copy_(torch.from_numpy(source.copy()))
        self.target.copy_(torch.from_numpy(pairs[:, 1].copy()))
        self.weight.copy_(torch.from_numpy((f / totals)[source]))
        self.ones.copy_(torch.from_numpy(1.0 / totals))

    def forward(self, phi: Tensor) -> Tensor:
        """Return φM (K × target words), from topics of the source language."""
        constant = (phi @ self.ones)[:, None].expand(-1, self.targets)
        translated = phi.index_select(1, self.source) * self.weight
        return constant.index_add(1, self.target, translated)


@dataclass(frozen=True)
class LinkedWords:
    """Pairs of words of two languages, ascending, and how they are linked.

    ``forward`` says how many of the words near the first have the second as a translation (0: not
    linked), ``backward`` how many of the words near the second have the first.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    forward: NDArray[np.float64]
    backward: NDArray[np.float64]


def linked_words(
    pairs: NDArray[np.int64], vectors: Vectors, others: Vectors, threshold: float
) -> LinkedWords:
    """Link words to the translations of all words near them.

    Parameters
    ----------
    pairs : array of int64 (translations × 2)
        Word of the first language, word of the second, each pair once.
    vectors, others : array (words × dimensions)
        Word vectors of the first language, and of the second; the two need share no space.
    threshold : float
        The cosine from which words are near. A word is always near itself; one with a zero vector
        is near no other.

    References
    ----------
    Wu et al. (2023), InfoCTM, section "Cross-lingual vocabulary linking".
    """
    shape = len(vectors), len(others)
    ones = np.ones(len(pairs))
    translated = csr_array((ones, (pairs[:, 0], pairs[:, 1])), shape=shape)
    forward = (near_words(vectors, threshold) @ translated).tocoo()
    backward = (translated @ near_words(others, threshold)).tocoo()
    found = [m.row.astype(np.int64) * shape[1] + m.col for m in (forward, backward)]
    both = np.union1d(*found)
    weights = [np.zeros(len(both)) for _ in found]
    for weight, places, matrix in zip(weights, found, (forward, backward), strict=True):
        weight[np.searchsorted(both, places)] = matrix.data
    return LinkedWords(both // shape[1], both % shape[1], *weights)


def expansion_table(vectors: Mapping[str, Vectors], view: str, count: int) -> NDArray[np.int64]:
    """Return the places of each word of a view, and of its neighbours, in the joint vocabulary.

    All views' word vectors are of one space; the joint vocabulary is theirs, concatenated. The
    table (vocabulary × (1 + k · views)) has the word itself, then its k nearest words in each
    view; −1 where there is none.
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
    that it is a neighbour of. With more than two views there are neighbours in each. `table` is as
    `expansion_table` returns it.

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
        """Return a module whose table is to be set, for k neighbours in each vocabulary."""
        others = sum(min(count, size - (name == view)) for name, size in vocabularies.items())
        return cls(np.zeros((vocabularies[view], 1 + others), np.int64))

    def forward(self, words: SparseRows) -> SparseRows:
        """Return the expanded bags of words, over the joint vocabulary.

        Each word of a row is given once; in the result it may have several entries, which add up.
        """
        joint = self.table[words.words]
        rows = words.rows[:, None].expand_as(joint)
        present = (joint >= 0) & (words.counts > 0)[:, None]
        if words.width is None:
            rows, joint = rows[present], joint[present]
            counts = words.counts.new_ones(len(rows))
            totals = torch.zeros_like(words.totals).index_add(0, rows, counts)
            return SparseRows(rows, joint, counts, totals)
        counts = present.flatten().to(words.counts.dtype)
        width = words.width * joint.shape[1]
        totals = counts.reshape(len(words.totals), width).sum(dim=1)
        return SparseRows(rows.flatten(), joint.clamp(min=0).flatten(), counts, totals, width)
