"""θ of new documents, given samples of the topics' words."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from octis_m3l.sampling.corpus import LinkedCorpus
from octis_m3l.sampling.kernels import fold, seed_documents

State = tuple[NDArray[np.float64], NDArray[np.float64], int]


def fold_in(
    corpus: LinkedCorpus,
    states: Iterable[State],
    *,
    burn_in: int,
    between: int,
    seed: int,
    used: NDArray[np.int64] | None = None,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Return θ of each document by Gibbs sampling with φ fixed, averaged over samples.

    p(z = k | rest) ∝ (n_dk + α_k) φ_kw; θ_k is the mean of (n_dk + α_k) / (N_d + Σα), over
    several samples of (φ, α) and over several sweeps with each, with each token counted by its
    probabilities rather than by its draw, which has the same mean and a smaller variance
    (Rao–Blackwell). A document's random numbers follow from its bag of words and the seed, so that
    its answer depends neither on its neighbours nor on its place nor on `threads`, and equal bags
    of words have equal answers.

    Parameters
    ----------
    corpus : LinkedCorpus
        The documents, in one language or several.
    states : iterable of (φ, α, samples)
        φ: array of float64 (words × K); α: array of float64 (K); and how many sweeps count with
        them, at least 1. One state at least; of one chain, so that topic k is the same in all.
    burn_in : int
        Sweeps before the first sweep that counts.
    between : int
        Sweeps that do not count after each change of (φ, α).
    seed : int
        Of the random numbers.
    used : array of int64, optional
        The numbers of the words that φ has rows of, ascending. Default: all.
    threads : int
        How many.

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
        for number, (word_topics, alpha, samples) in enumerate(states, 1):
            if number == 1:
                theta = np.zeros((len(corpus), len(alpha)))
            skipped = burn_in if number == 1 else between
            phi = np.ascontiguousarray(word_topics)
            given = words, starts, phi, alpha, skipped, samples, topics, random, theta
            for done in [pool.submit(fold, *given, part) for part in parts]:
                done.result()
    return theta / max(number, 1)
