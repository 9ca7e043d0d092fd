"""The topics of words at some moments of a chain, and θ of new documents given them."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from octis_m3l.sampling.corpus import LinkedCorpus
from octis_m3l.sampling.kernels import Floats, Longs, fold, seed_documents

_BETWEEN_SAMPLES = 5


@dataclass(frozen=True, eq=False)
class Sample:
    """A state of a chain without the topics of its tokens."""

    alpha: Floats  # of each topic
    eta: Floats  # of each language
    # How often each word of each language has each topic: a csr_array (vocabulary × K) a language.
    counts: tuple[Any, ...]

    @cached_property
    def _totals(self) -> list[Floats]:
        """How often each topic occurs in each language."""
        return [counts.sum(axis=0).astype(np.float64) for counts in self.counts]

    def language(self, number: int, words: Longs | None = None) -> Floats:
        """Return φ of a language's words (words × K), all by default: (n_kw + η) / (n_k + V η)."""
        counts, eta = self.counts[number], self.eta[number]
        phi: Floats = (counts if words is None else counts[words]).toarray() + eta
        phi /= eta * counts.shape[0] + self._totals[number]
        return phi

    def word_topics(self, words: Longs) -> Floats:
        """Return φ of some words (words × K), given by their numbers in the corpus, ascending."""
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
    """Return the samples that `as_arrays` stored; there may be other arrays too.

    KeyError: an array is missing; ValueError: they do not fit each other.
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


def fold_in(
    corpus: LinkedCorpus,
    states: Iterable[tuple[Floats, Floats, int]],
    *,
    burn_in: int,
    between: int,
    seed: int,
    used: Longs | None = None,
    threads: int = 1,
) -> Floats:
    """Return θ of each document by Gibbs sampling with φ fixed, averaged over samples.

    p(z = k | rest) ∝ (n_dk + α_k) φ_kw; θ_k is the mean of (n_dk + α_k) / (N_d + Σα) over several
    samples of (φ, α) and several sweeps with each. Each token is counted by the probabilities of
    its topics rather than by the topic drawn, which has the same mean and a smaller variance
    (Rao–Blackwell). A document's random numbers follow from its bag of words and the seed: its θ
    depends neither on other documents, nor on its position, nor on `threads`, and equal bags of
    words have equal θ.

    Parameters
    ----------
    corpus : LinkedCorpus
        The documents, in one language or several.
    states : iterable of (φ, α, sweeps)
        Samples of one chain: φ (words × K), α (K), and the number of sweeps, at least 1, that are
        averaged with them.
    burn_in : int
        Sweeps before the first one that is averaged.
    between : int
        Sweeps that are not averaged after each change of (φ, α).
    seed : int
        The seed of the random numbers.
    used : array of int64, optional
        The numbers of the words that φ has rows for, ascending. Default: all words.
    threads : int
        The number of threads.

    Returns
    -------
    array of float64 (documents × K)
        A document without words has the mean of α / Σα.
    """
    starts = corpus.starts
    documents = np.repeat(np.arange(len(corpus)), np.diff(starts))
    numbers = corpus.words[np.lexsort((corpus.words, documents))].astype(np.int64)
    words = numbers if used is None else np.searchsorted(used, numbers)
    topics = np.full(len(words), -1, np.int16)
    random = np.empty(len(corpus), np.uint64)
    seed_documents(numbers, starts, seed, random)
    cuts = np.searchsorted(starts, np.linspace(0, len(words), threads + 1)[1:-1])
    parts = list(pairwise([0, *cuts.tolist(), len(corpus)]))
    theta, number = np.zeros((len(corpus), 0)), 0
    with ThreadPoolExecutor(len(parts)) as pool:
        for number, (word_topics, alpha, sweeps) in enumerate(states, 1):
            if number == 1:
                theta = np.zeros((len(corpus), len(alpha)))
            skipped = burn_in if number == 1 else between
            phi = np.ascontiguousarray(word_topics)
            given = words, starts, phi, alpha, skipped, sweeps, topics, random, theta
            for done in [pool.submit(fold, *given, part) for part in parts]:
                done.result()
    return theta / max(number, 1)


def fold_in_samples(
    corpus: LinkedCorpus,
    samples: Sequence[Sample],
    sweeps: int,
    *,
    burn_in: int,
    seed: int,
    threads: int = 1,
) -> Floats:
    """Return θ of each document, averaged over sweeps that are divided among samples: `fold_in`."""
    used = np.unique(corpus.words).astype(np.int64)
    shares = shared_out(samples, sweeps)
    states = ((sample.word_topics(used), sample.alpha, share) for sample, share in shares)
    options: dict[str, Any] = {"between": _BETWEEN_SAMPLES, "used": used, "threads": threads}
    return fold_in(corpus, states, burn_in=burn_in, seed=seed, **options)


def shared_out(samples: Sequence[Sample], sweeps: int) -> list[tuple[Sample, int]]:
    """Divide sweeps among samples, evenly spaced ones if there are fewer sweeps than samples."""
    used = min(len(samples), sweeps)
    chosen = np.linspace(0, len(samples) - 1, used).round().astype(int)
    return [
        (samples[place], sweeps // used + (number < sweeps % used))
        for number, place in enumerate(chosen)
    ]
