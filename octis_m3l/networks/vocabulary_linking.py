"""Which words of two languages are linked: translations of a word and of words near it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from octis_m3l.data.words import near_words


@dataclass(frozen=True)
class LinkedWords:
    """Pairs of words of two languages, and how they are linked.

    Parameters
    ----------
    first, second : array of int64 (pairs)
        Word of the first and word of the second language; ascending, each pair once.
    forward : array of float64 (pairs)
        How many of the words near the first have the second as a translation; 0: not linked.
    backward : array of float64 (pairs)
        How many of the words near the second have the first as a translation.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    forward: NDArray[np.float64]
    backward: NDArray[np.float64]


def linked_words(
    pairs: NDArray[np.int64],
    vectors: NDArray[np.floating],
    others: NDArray[np.floating],
    threshold: float,
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
