"""Fitted parameters of Dirichlet–multinomials beside the maximum that scipy finds."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln

from octis_m3l.sampling import Chain
from octis_m3l.sampling.dirichlet import fit_asymmetric, fit_symmetric

from .corpora import document_counts, linked, word_counts
from .corpora import drawn as drawn_corpus

LEAST = 1e-6
STEPS = 20_000


def drawn(alpha: list[float], seed: int, documents: int = 60) -> NDArray[np.int64]:
    """Return documents' topic counts (documents × K), every document with a word at least."""
    random = np.random.default_rng(seed)
    proportions = random.dirichlet(alpha, documents)
    lengths = random.integers(1, 50, documents)
    return np.array([random.multinomial(*one) for one in zip(lengths, proportions, strict=True)])


def fitted(counts: NDArray[np.int64], start: Any, steps: int = STEPS) -> NDArray[Any]:
    cells = Counter((k, n) for row in counts.tolist() for k, n in enumerate(row) if n)
    pairs = np.array(list(cells), np.int64).reshape(-1, 2)
    weights = np.array(list(cells.values()))
    return fit_asymmetric(pairs, weights, counts.sum(axis=1), np.array(start), steps=steps)


def log_likelihood(counts: NDArray[np.int64], alpha: NDArray[Any]) -> float:
    """Return log p(counts | α), up to a constant, α one row or one for all rows."""
    gained = (gammaln(counts + alpha) - gammaln(alpha)).sum()
    total = alpha.sum()
    return float(gained + (gammaln(total) - gammaln(counts.sum(axis=1) + total)).sum())


@pytest.mark.parametrize(
    ("alpha", "seed"), [([0.5, 0.1, 1.5], 0), ([0.05] * 6, 1), ([3.0, 0.2], 2), ([5.0, 8.0], 3)]
)
def test_alpha_is_where_scipy_finds_the_maximum(alpha: list[float], seed: int) -> None:
    counts, start = drawn(alpha, seed), np.zeros(len(alpha))
    best = minimize(lambda x: -log_likelihood(counts, np.exp(x)), start, method="BFGS")
    for begun in (0.1, 2.0):
        found = fitted(counts, [begun] * len(alpha))
        assert log_likelihood(counts, found) == pytest.approx(-best.fun, abs=1e-3)
        np.testing.assert_allclose(found, np.exp(best.x), rtol=0.02)


def test_a_topic_without_counts_has_the_least_alpha_and_comes_back() -> None:
    counts = np.insert(drawn([0.5, 0.1, 1.5], 5), 1, 0, axis=1)
    found = fitted(counts, [0.1] * 4)
    assert found[1] == LEAST
    np.testing.assert_allclose(np.delete(found, 1), fitted(counts[:, [0, 2, 3]], [0.1] * 3), 1e-2)
    counts[:, 1] = drawn([0.4, 0.4], 6)[:, 0]
    np.testing.assert_allclose(fitted(counts, found), fitted(counts, [0.1] * 4), rtol=1e-2)


def test_documents_of_one_topic_have_a_small_alpha_and_equal_documents_a_large_one() -> None:
    small = fitted(np.repeat(9 * np.eye(3, dtype=np.int64), 5, axis=0), [0.1] * 3, steps=500)
    assert ((small < 1e-3) & (small >= LEAST)).all()
    large = fitted(np.full((9, 3), 20), [0.1] * 3, steps=50)
    assert (np.isfinite(large) & (large > 5)).all()


@pytest.mark.parametrize(("eta", "size", "seed"), [(0.5, 8, 0), (0.02, 200, 1), (2.0, 5, 2)])
def test_eta_is_where_scipy_finds_the_maximum(eta: float, size: int, seed: int) -> None:
    counts = drawn([eta] * size, seed, documents=20)
    totals, present = counts.sum(axis=1), counts[counts > 0].astype(np.int32)

    def loss(x: NDArray[Any]) -> float:
        return -log_likelihood(counts, np.full(size, np.exp(x[0])))

    best = minimize(loss, np.zeros(1), method="BFGS")
    for start in (0.01, 3.0):
        found = fit_symmetric(present, totals, size, start, steps=STEPS)
        assert found == pytest.approx(np.exp(best.x[0]), rel=0.01)
        # Topics without words change nothing.
        more = np.append(totals, [0, 0])
        assert fit_symmetric(present, more, size, start, steps=STEPS) == found


def test_a_chain_fits_its_counts() -> None:
    chain = Chain(drawn_corpus(4, documents=60, words=(6, 4)), 3, alpha=0.2, eta=0.3, seed=0)
    for _ in range(10):
        chain.sweep()
    chain.fit_alpha()
    counts = document_counts(chain)
    expected = fitted(counts[counts.any(axis=1)], [0.2] * 3, steps=50)
    np.testing.assert_allclose(chain.alpha, expected, rtol=1e-10)
    chain.fit_eta()
    for language, size in enumerate((6, 4)):
        counted = [word_counts(chain)[language, word] for word in range(size)]
        of_words = np.array([[word[topic] for word in counted] for topic in range(3)])
        present = of_words[of_words > 0].astype(np.int32)
        found = fit_symmetric(present, of_words.sum(axis=1), size, 0.3)
        assert chain.eta[language] == pytest.approx(found, rel=1e-10)
    assert chain.eta[0] != pytest.approx(chain.eta[1], rel=0.01)


def test_eta_of_a_language_without_tokens_stays() -> None:
    chain = Chain(linked({"en": [[0, 1, 1]], "de": [[]]}, [2, 3]), 3, alpha=0.2, eta=0.3, seed=0)
    chain.fit_eta()
    assert chain.eta[1] == 0.3
    np.testing.assert_allclose(chain.sample().language(1), np.full((3, 3), 1 / 3))
