"""Topics' words from documents and their topics, ranked by relevance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from octis_m3l.metrics.topic_uniqueness import topic_uniqueness
from octis_m3l.models.output import likeliest

Numbers = NDArray[np.float64]
_DOCUMENTS_AT_ONCE = 2**14


def topics_of_documents(
    counts: Mapping[str, "csr_array[Any]"], theta: Mapping[str, NDArray[Any]], relevance: float
) -> dict[str, NDArray[np.float32]]:
    """Return the distributions of words (K × vocabulary) of each view that has words.

    Parameters
    ----------
    counts, theta : mapping of view to array (documents × vocabulary; documents × K)
        How often each document has each word, and the documents' topic proportions.
    relevance : float
        λ of `by_relevance`; 0: each view's `chosen_relevance`.

    References
    ----------
    Hofmann (1999), Probabilistic Latent Semantic Indexing, SIGIR (the M step); Sievert & Shirley
    (2014), LDAvis: A method for visualizing and interpreting topics, ACL workshop.
    """
    expected = {name: expected_counts(of, theta[name]) for name, of in counts.items() if of.sum()}
    return {n: by_relevance(of, relevance or chosen_relevance(of)) for n, of in expected.items()}


def expected_counts(counts: "csr_array[Any]", theta: Any, *, at_once: int = 2**18) -> Numbers:
    """Return in how many documents each topic is expected to have given a word (K × vocabulary).

    C_kw = Σ_d n_dw θ_dk φ_kw / Σ_j θ_dj φ_jw, where φ_kw ∝ Σ_d θ_dk n_dw, and n_dw is 1 if the
    document has the word, and else 0. At most `at_once` products θ_dk φ_kw are held, or K.
    """
    topics, piece = theta.shape[1], max(1, at_once // theta.shape[1])
    words = np.ones((counts.shape[1], topics))  # With these, C is Σ_d θ_dk n_dw.
    for _ in range(2):
        expected: Numbers = np.zeros_like(words)
        for first in range(0, counts.shape[0], _DOCUMENTS_AT_ONCE):
            of_block = counts[first : first + _DOCUMENTS_AT_ONCE]
            shares = np.asarray(theta[first : first + _DOCUMENTS_AT_ONCE], np.float64)
            documents = np.repeat(np.arange(of_block.shape[0]), np.diff(of_block.indptr))
            mixed = np.empty(of_block.nnz)
            for start in range(0, of_block.nnz, piece):
                of = slice(start, start + piece)
                given = shares[documents[of]], words[of_block.indices[of]]
                np.einsum("ik,ik->i", *given, out=mixed[of])
            ratios = np.sign(of_block.data) / np.maximum(mixed, 1e-300)
            places = of_block.indices, of_block.indptr
            expected += csr_array((ratios, *places), shape=of_block.shape).T @ shares
        expected *= words
        words = expected / np.maximum(expected.sum(axis=0), 1e-300)
    return expected.T


def by_relevance(expected: Numbers, relevance: float) -> NDArray[np.float32]:
    """Return distributions ∝ φ / p^(1 − λ); p: the words' shares of all counts; φ ∝ C + 50 p."""
    # A word that no document has ranks last, and its probability is not quite zero.
    totals = np.maximum(expected.sum(axis=0), 1e-6)
    shares = totals / totals.sum()
    scores = (expected + 50 * shares) * shares ** (relevance - 1)
    return np.asarray(scores / scores.sum(axis=1, keepdims=True), np.float32)


def chosen_relevance(expected: Numbers) -> float:
    """Return the largest λ from 0.3 to 0.8 with which ten words a topic have TU ≥ 0.8, or 0.3."""
    lower, upper, probed = 0.3, 0.8, 0.8
    while upper - lower > 2e-4:
        uniqueness = topic_uniqueness(likeliest(by_relevance(expected, probed), 10))
        distinct = uniqueness.mean() > 0.8 - 1e-9
        lower, upper = (probed, upper) if distinct else (lower, probed)
        probed = (lower + upper) / 2
    return lower
