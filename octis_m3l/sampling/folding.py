"""θ of new documents, given the topics' words."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from octis_m3l.sampling.corpus import LinkedCorpus
from octis_m3l.sampling.kernels import next_uniform


def fold_in(
    corpus: LinkedCorpus,
    word_topics: NDArray[np.float64],
    alpha: NDArray[np.float64],
    *,
    burn_in: int,
    samples: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return θ of each document by Gibbs sampling with φ fixed, averaged over samples.

    p(z = k | rest) ∝ (n_dk + α_k) φ_kw; θ_k is the mean of (n_dk + α_k) / (N_d + Σα), with each
    token counted by its probabilities rather than by its draw, which has the same mean and a
    smaller variance (Rao–Blackwell). A document's random numbers follow from its words and the
    seed, so that its answer depends neither on its neighbours nor on its place, and equal
    documents have equal answers.

    Parameters
    ----------
    corpus : LinkedCorpus
        The documents, in one language or several.
    word_topics : array of float64 (words of all languages × K)
        φ, a row for each word.
    alpha : array of float64 (K)
        α.
    burn_in, samples : int
        Sweeps before the first sample, and samples, one a sweep.
    seed : int
        Of the random numbers.

    Returns
    -------
    array of float64 (documents × K)
        A document without words has α / Σα.
    """
    theta = np.empty((len(corpus), len(alpha)))
    _fold(corpus.words, corpus.starts, word_topics, alpha, burn_in, samples, seed, theta)
    return theta


@njit(cache=True, nogil=True, error_model="numpy")
def _fold(
    words: NDArray[np.int32],
    starts: NDArray[np.int64],
    word_topics: NDArray[np.float64],
    alpha: NDArray[np.float64],
    burn_in: int,
    samples: int,
    seed: int,
    theta: NDArray[np.float64],
) -> None:
    k_all = len(alpha)
    longest = 0
    for document in range(len(starts) - 1):
        longest = max(longest, starts[document + 1] - starts[document])
    topics = np.zeros(longest, np.int64)
    cumulated = np.zeros(k_all)
    weight = np.zeros(k_all)
    expected = np.zeros(k_all)
    state = np.zeros(1, np.uint64)
    for document in range(len(starts) - 1):
        first, last = starts[document], starts[document + 1]
        state[0] = np.uint64(seed)
        for token in range(first, last):
            state[0] = (state[0] ^ np.uint64(words[token])) * np.uint64(0x100000001B3)
        weight[:] = alpha
        expected[:] = 0.0
        for sweep in range(burn_in + samples + 1):
            for token in range(first, last):
                if sweep > 0:
                    weight[topics[token - first]] -= 1.0
                mass = 0.0
                row = word_topics[words[token]]
                for k in range(k_all):
                    mass += weight[k] * row[k]
                    cumulated[k] = mass
                drawn = next_uniform(state) * mass
                k = 0
                while k < k_all - 1 and drawn >= cumulated[k]:
                    k += 1
                topics[token - first] = k
                if sweep > burn_in:
                    before = 0.0
                    for one in range(k_all):
                        expected[one] += (cumulated[one] - before) / mass
                        before = cumulated[one]
                weight[k] += 1.0
        total = 0.0
        for k in range(k_all):
            theta[document, k] = alpha[k] + expected[k] / samples
            total += theta[document, k]
        theta[document] /= total
