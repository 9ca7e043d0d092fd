"""What a chain says at one moment, kept as the sparse counts that it says it with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class WordCounts:
    """How often each word of a language has each topic."""

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
        places, lengths = positions(self.offsets, words)
        phi[:] = self.eta
        phi[np.repeat(np.arange(len(words)), lengths), self.topics[places]] += self.counts[places]
        sums = np.full(phi.shape[1], self.eta * (len(self.offsets) - 1))
        sums[: len(self.totals)] += self.totals
        phi /= sums


@dataclass(frozen=True, eq=False)
class Sample:
    """One state of a chain, without the topics of its tokens.

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
            Their numbers, ascending, counted through all languages as in the corpus.
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
        """Return φ of all words of a language (its vocabulary × K).

        Parameters
        ----------
        number : int
            Of the language.
        """
        counts = self.languages[number]
        phi = np.empty((len(counts.offsets) - 1, len(self.alpha)))
        counts.fill(np.arange(len(phi)), phi)
        return phi


def as_arrays(samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
    """Return samples as arrays to store.

    Parameters
    ----------
    samples : sequence of Sample
        Of one chain.
    """
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
    """Return the samples that `as_arrays` made arrays of.

    Parameters
    ----------
    arrays : mapping of str to array
        With others among them, maybe.
    count : int
        How many samples.
    languages : int
        How many languages each has.

    Raises
    ------
    KeyError
        If one is missing.
    ValueError
        If they do not fit each other.
    """

    def of_language(place: str, topics: int) -> WordCounts:
        offsets, entries = arrays[f"{place}/offsets"], arrays[f"{place}/topics"]
        if (
            len(entries) != len(arrays[f"{place}/counts"])
            or offsets[0] != 0
            or offsets[-1] != len(entries)
            or (np.diff(offsets) < 0).any()
            or (entries < 0).any()
            or (entries >= topics).any()
        ):
            raise ValueError(f"{place}: its arrays do not fit each other")
        return WordCounts(
            arrays[f"{place}/offsets"],
            arrays[f"{place}/topics"],
            arrays[f"{place}/counts"],
            float(arrays[f"{place}/eta"][0]),
        )

    found = []
    for number in range(count):
        alpha = arrays[f"sample/{number}/alpha"]
        places = [f"sample/{number}/{one}" for one in range(languages)]
        found.append(Sample(alpha, tuple(of_language(place, len(alpha)) for place in places)))
    return found


def positions(
    offsets: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the entries of some ragged rows are, and how many each has."""
    lengths = offsets[rows + 1] - offsets[rows]
    shifts = np.repeat(offsets[rows] - (np.cumsum(lengths) - lengths), lengths)
    return np.arange(int(lengths.sum()), dtype=np.int64) + shifts, lengths


class Averages:
    """Samples of φ and α, and the sum of θ over them."""

    def __init__(self, samples: list[Sample], document_topics: NDArray[np.float32]) -> None:
        self.samples = samples
        self.document_topics = document_topics

    def copy(self) -> Self:
        """Return what there is now."""
        return type(self)(list(self.samples), self.document_topics.copy())


def shared_out(samples: Sequence[Sample], sweeps: int) -> list[tuple[Sample, int]]:
    """Return samples and how many sweeps each has: all of them, or as many as there are sweeps.

    Parameters
    ----------
    samples : sequence of Sample
        Of one chain.
    sweeps : int
        At least 1.
    """
    used = min(len(samples), sweeps)
    chosen = np.linspace(0, len(samples) - 1, used).round().astype(int)
    return [
        (samples[place], sweeps // used + (number < sweeps % used))
        for number, place in enumerate(chosen)
    ]
