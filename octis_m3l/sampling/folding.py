"""θ of new documents, given samples of the topics' words."""

from collections.abc import Iterable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from octis_m3l.sampling.corpus import LinkedCorpus
from octis_m3l.sampling.kernels import next_uniform


def fold_in(
    corpus: LinkedCorpus,
    states: Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]],
    *,
    burn_in: int,
    between: int,
    samples: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return θ of each document by Gibbs sampling with φ fixed, averaged over samples.

    p(z = k | rest) ∝ (n_dk + α_k) φ_kw; θ_k is the mean of (n_dk + α_k) / (N_d + Σα), over
    several samples of (φ, α) and over several sweeps with each, with each token counted by its
    probabilities rather than by its draw, which has the same mean and a smaller variance
    (Rao–Blackwell). A document's random numbers follow from its bag of words and the seed, so that
    its answer depends neither on its neighbours nor on its place, and equal bags of words have
    equal answers.

    Parameters
    ----------
    corpus : LinkedCorpus
        The documents, in one language or several.
    states : iterable of (φ, α)
        φ: array of float64 (words of all languages × K); α: array of float64 (K). One at least;
        of one chain, so that topic k is the same in all.
    burn_in : int
        Sweeps before the first sweep that counts.
    between : int
        Sweeps that do not count after each change of (φ, α).
    samples : int
        Sweeps that count with each (φ, α), at least 1.
    seed : int
        Of the random numbers.

    Returns
    -------
    array of float64 (documents × K)
        A document without words has the mean of α / Σα.
    """
    starts = corpus.starts
    documents = np.repeat(np.arange(len(corpus)), np.diff(starts))
    words = corpus.words[np.lexsort((corpus.words, documents))]
    topics = np.full(len(words), -1, np.int16)
    random = np.empty(len(corpus), np.uint64)
    _seed(words, starts, seed, random)
    theta, number = np.zeros((len(corpus), 0)), 0
    for number, (word_topics, alpha) in enumerate(states, 1):
        if number == 1:
            theta = np.zeros((len(corpus), len(alpha)))
        skipped = burn_in if number == 1 else between
        phi = np.ascontiguousarray(word_topics)
        _fold(words, starts, phi, alpha, skipped, samples, topics, random, theta)
    return theta / max(number, 1)


@njit(cache=True, nogil=True)
def _seed(
    words: NDArray[np.int32], starts: NDArray[np.int64], seed: int, random: NDArray[np.uint64]
) -> None:
    for document in range(len(random)):
        state = np.uint64(seed)
        for token in range(starts[document], starts[document + 1]):
            state = (state ^ np.uint64(words[token])) * np.uint64(0x100000001B3)
        random[document] = state


@njit(cache=True, nogil=True, error_model="numpy")
def _fold(
    words: NDArray[np.int32],
    starts: NDArray[np.int64],
    word_topics: NDArray[np.float64],
    alpha: NDArray[np.float64],
    skipped: int,
    samples: int,
    topics: NDArray[np.int16],
    random: NDArray[np.uint64],
    theta: NDArray[np.float64],
) -> None:
    """Go on with each document's chain, and add its mean θ; a topic of −1 is yet to be drawn."""
    k_all = len(alpha)
    cumulated = np.zeros(k_all)
    weight = np.zeros(k_all)
    expected = np.zeros(k_all)
    for document in range(len(starts) - 1):
        first, last = starts[document], starts[document + 1]
        state = random[document : document + 1]
        weight[:] = alpha
        expected[:] = 0.0
        begun = last > first and topics[first] >= 0
        if begun:
            for token in range(first, last):
                weight[topics[token]] += 1.0
        for sweep in range(skipped + samples if begun else skipped + samples + 1):
            counts = sweep >= (skipped if begun else skipped + 1)
            for token in range(first, last):
                if topics[token] >= 0:
                    weight[topics[token]] -= 1.0
                mass = 0.0
                row = word_topics[words[token]]
                for k in range(k_all):
                    mass += weight[k] * row[k]
                    cumulated[k] = mass
                drawn = next_uniform(state) * mass
                k = 0
                while k < k_all - 1 and drawn >= cumulated[k]:
                    k += 1
                topics[token] = k
                if counts:
                    before = 0.0
                    for one in range(k_all):
                        expected[one] += (cumulated[one] - before) / mass
                        before = cumulated[one]
                weight[k] += 1.0
        total = last - first + alpha.sum()
        for k in range(k_all):
            theta[document, k] += (alpha[k] + expected[k] / samples) / total
