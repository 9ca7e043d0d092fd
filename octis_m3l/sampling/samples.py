"""The topics of words at one moment of a chain, kept as sparse counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Sample:
    """A state of a chain without the topics of its tokens.

    Parameters
    ----------
    alpha : array of float64 (K)
        α.
    eta : array of float64 (languages)
        η.
    counts : tuple of csr_array (vocabulary × K)
        How often each word of each language has each topic.
    """

    alpha: NDArray[np.float64]
    eta: NDArray[np.float64]
    counts: tuple[Any, ...]

    @cached_property
    def _totals(self) -> list[NDArray[np.float64]]:
        """How often each topic occurs in each language."""
        return [counts.sum(axis=0).astype(np.float64) for counts in self.counts]

    def language(self, number: int, words: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return φ of a language (words × K): (n_kw + η) / (n_k + V η).

        Parameters
        ----------
        number : int
            The language.
        words : array of int64, optional
            Numbers in the language's vocabulary. Default: all words.
        """
        counts, eta = self.counts[number], self.eta[number]
        phi: NDArray[np.float64] = (counts if words is None else counts[words]).toarray() + eta
        phi /= eta * counts.shape[0] + self._totals[number]
        return phi

    def word_topics(self, words: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return φ of some words (words × K).

        Parameters
        ----------
        words : array of int64
            Word numbers as in the corpus, ascending.
        """
        firsts = np.cumsum([0, *(counts.shape[0] for counts in self.counts)])
        cuts = pairwise(np.searchsorted(words, firsts).tolist())
        parts = [
            self.language(number, words[begin:end] - firsts[number])
            for number, (begin, end) in enumerate(cuts)
        ]
        return np.concatenate(parts)


def as_arrays(samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
    """Return samples of one chain as arrays to store."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, sample in enumerate(samples):
        arrays[f"sample/{number}/alpha"] = sample.alpha
        for language, counts in enumerate(sample.counts):
            place = f"sample/{number}/{language}"
            arrays[f"{place}/offsets"] = counts.indptr.astype(np.int64)
            arrays[f"{place}/topics"] = counts.indices.astype(np.int16)
            arrays[f"{place}/counts"] = counts.data
            arrays[f"{place}/eta"] = sample.eta[language : language + 1]
    return arrays


def from_arrays(arrays: Mapping[str, NDArray[Any]], count: int, languages: int) -> list[Sample]:
    """Return the samples that `as_arrays` stored.

    Parameters
    ----------
    arrays : mapping of str to array
        May hold other arrays too.
    count : int
        The number of samples.
    languages : int
        The number of languages.

    Raises
    ------
    KeyError
        If an array is missing.
    ValueError
        If the arrays do not fit each other.
    """
    samples = []
    for number in range(count):
        alpha, counts, eta = arrays[f"sample/{number}/alpha"], [], []
        for language in range(languages):
            offsets, topics, data, of_language = (
                arrays[f"sample/{number}/{language}/{name}"]
                for name in ("offsets", "topics", "counts", "eta")
            )
            shape = len(offsets) - 1, len(alpha)
            counts.append(csr_array((data, topics.astype(np.int32), offsets), shape=shape))
            counts[-1].check_format()
            eta.append(of_language[0])
        samples.append(Sample(alpha, np.array(eta), tuple(counts)))
    return samples
