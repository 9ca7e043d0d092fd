"""θ of new documents, given samples of the topics' words."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from octis_m3l.sampling.corpus import LinkedCorpus
from octis_m3l.sampling.kernels import fold, seed_documents
from octis_m3l.sampling.samples import Sample

_BETWEEN_SAMPLES = 5


def fold_in(
    corpus: LinkedCorpus,
    states: Iterable[tuple[NDArray[np.float64], NDArray[np.float64], int]],
    *,
    burn_in: int,
    between: int,
    seed: int,
    used: NDArray[np.int64] | None = None,
    threads: int = 1,
) -> NDArray[np.float64]:
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
) -> NDArray[np.float64]:
    """Return θ of each document, averaged over sweeps that are divided among samples: `fold_in`."""
    used = np.unique(corpus.words).astype(np.int64)
    return fold_in(
        corpus,
        (
            (sample.word_topics(used), sample.alpha, share)
            for sample, share in shared_out(samples, sweeps)
        ),
        burn_in=burn_in,
        between=_BETWEEN_SAMPLES,
        seed=seed,
        used=used,
        threads=threads,
    )


def shared_out(samples: Sequence[Sample], sweeps: int) -> list[tuple[Sample, int]]:
    """Divide sweeps among samples, evenly spaced ones if there are fewer sweeps than samples."""
    used = min(len(samples), sweeps)
    chosen = np.linspace(0, len(samples) - 1, used).round().astype(int)
    return [
        (samples[place], sweeps // used + (number < sweeps % used))
        for number, place in enumerate(chosen)
    ]
