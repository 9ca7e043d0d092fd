"""The topics of words at one moment of a chain, kept as sparse counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.sampling.corpus import ranges


@dataclass(frozen=True, eq=False)
class WordCounts:
    """How often each word of a language has each topic; word w's entries begin at offsets[w]."""

    offsets: NDArray[np.int64]
    topics: NDArray[np.int16]
    counts: NDArray[np.int32]
    eta: float

    @cached_property
    def totals(self) -> NDArray[np.float64]:
        """How often each topic occurs, up to the last that does."""
        return np.bincount(self.topics, weights=self.counts).astype(np.float64)

    def fill(self, words: NDArray[np.int64], phi: NDArray[np.float64]) -> None:
        """Write φ of some words: (n_kw + η) / (n_k + V η)."""
        begins = self.offsets[words]
        lengths = self.offsets[words + 1] - begins
        places = ranges(begins, lengths)
        phi[:] = self.eta
        phi[np.repeat(np.arange(len(words)), lengths), self.topics[places]] += self.counts[places]
        sums = np.full(phi.shape[1], self.eta * (len(self.offsets) - 1))
        sums[: len(self.totals)] += self.totals
        phi /= sums


@dataclass(frozen=True, eq=False)
class Sample:
    """A state of a chain without the topics of its tokens.

    Parameters
    ----------
    alpha : array of float64 (K)
        α.
    languages : tuple of WordCounts
        In the order of the corpus.
    """

    alpha: NDArray[np.float64]
    languages: tuple[WordCounts, ...]

    def word_topics(self, words: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return φ of some words (words × K).

        Parameters
        ----------
        words : array of int64
            Word numbers as in the corpus, ascending.
        """
        phi = np.empty((len(words), len(self.alpha)))
        first = 0
        for counts in self.languages:
            last = first + len(counts.offsets) - 1
            begin, end = np.searchsorted(words, (first, last))
            counts.fill(words[begin:end] - first, phi[begin:end])
            first = last
        return phi

    def language(self, number: int) -> NDArray[np.float64]:
        """Return φ of all words of the language with this number (vocabulary × K)."""
        counts = self.languages[number]
        phi = np.empty((len(counts.offsets) - 1, len(self.alpha)))
        counts.fill(np.arange(len(phi)), phi)
        return phi


def as_arrays(samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
    """Return samples of one chain as arrays to store."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, sample in enumerate(samples):
        arrays[f"sample/{number}/alpha"] = sample.alpha
        for language, counts in enumerate(sample.languages):
            place = f"sample/{number}/{language}"
            arrays[f"{place}/offsets"] = counts.offsets
            arrays[f"{place}/topics"] = counts.topics
            arrays[f"{place}/counts"] = counts.counts
            arrays[f"{place}/eta"] = np.array([counts.eta])
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
        alpha, parts = arrays[f"sample/{number}/alpha"], []
        for language in range(languages):
            place = f"sample/{number}/{language}"
            offsets, topics, counts, eta = (
                arrays[f"{place}/{name}"] for name in ("offsets", "topics", "counts", "eta")
            )
            if offsets[-1] != len(topics) or len(topics) != len(counts):
                raise ValueError(f"{place}: its arrays do not fit each other")
            parts.append(WordCounts(offsets, topics, counts, float(eta[0])))
        samples.append(Sample(alpha, tuple(parts)))
    return samples
