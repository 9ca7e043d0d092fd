"""What a chain says at one moment, kept as the sparse counts that it says it with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class WordCounts:
    """How often each word of a language has each topic.

    Parameters
    ----------
    offsets : array of int64 (vocabulary + 1)
        Where each word's entries begin.
    topics : array of int16 (entries)
        The topics that a word has.
    counts : array of int32 (entries)
        How often.
    eta : float
        η of the language.
    """

    offsets: NDArray[np.int64]
    topics: NDArray[np.int16]
    counts: NDArray[np.int32]
    eta: float

    def probabilities(self, num_topics: int) -> NDArray[np.float64]:
        """Return φ, a row for each word: (n_kw + η) / (n_k + V η).

        Parameters
        ----------
        num_topics : int
            K.

        Returns
        -------
        array (vocabulary × K)
            Its columns sum to 1.
        """
        vocabulary = len(self.offsets) - 1
        phi = np.full((vocabulary, num_topics), self.eta)
        phi[np.repeat(np.arange(vocabulary), np.diff(self.offsets)), self.topics] += self.counts
        phi /= phi.sum(axis=0)
        return phi


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

    def word_topics(self, languages: Sequence[int]) -> NDArray[np.float64]:
        """Return φ of some languages (words of all of them × K).

        Parameters
        ----------
        languages : sequence of int
            Their numbers.
        """
        found = [self.languages[number].probabilities(len(self.alpha)) for number in languages]
        return np.concatenate(found)


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
    """

    def of_language(place: str) -> WordCounts:
        return WordCounts(
            arrays[f"{place}/offsets"],
            arrays[f"{place}/topics"],
            arrays[f"{place}/counts"],
            float(arrays[f"{place}/eta"][0]),
        )

    return [
        Sample(
            arrays[f"sample/{number}/alpha"],
            tuple(of_language(f"sample/{number}/{one}") for one in range(languages)),
        )
        for number in range(count)
    ]


class Averages:
    """Samples of φ and α, and the sum of θ over them.

    Parameters
    ----------
    samples : list of Sample
        So far.
    document_topics : array of float64 (documents × K)
        Σ θ.
    """

    def __init__(self, samples: list[Sample], document_topics: NDArray[np.float64]) -> None:
        self.samples = samples
        self.document_topics = document_topics

    def add(self, sample: Sample, document_topics: NDArray[np.float64]) -> None:
        """Take a sample.

        Parameters
        ----------
        sample : Sample
            Of the chain as it is now.
        document_topics : array of float64 (documents × K)
            θ as it is now.
        """
        # All at once, so that an interruption leaves no half of a sample.
        self.samples, self.document_topics = (
            [*self.samples, sample],
            self.document_topics + document_topics,
        )

    def copy(self) -> Self:
        """Return what there is now."""
        return type(self)(list(self.samples), self.document_topics.copy())
