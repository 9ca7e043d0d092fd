"""Jensen-Shannon divergence against loops, scipy and its own properties."""

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from octis_m3l.errors import DataError
from octis_m3l.metrics import divergence as module
from octis_m3l.metrics import jensen_shannon, jensen_shannon_matrix
from octis_m3l.metrics.divergence import as_distributions

weights = arrays(np.float64, (4, 3), elements=st.integers(0, 5).map(float))


def normalised(counts: NDArray[np.float64]) -> Any:
    filled = counts + (counts.sum(axis=1, keepdims=True) == 0)
    return filled / filled.sum(axis=1, keepdims=True)


def distributions(rows: int, topics: int, seed: int) -> Any:
    theta = np.random.default_rng(seed).dirichlet(np.full(topics, 0.2), size=rows)
    return normalised(np.where(theta < 0.05, 0, theta))


def slow(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    pairs = [pair for a, b in zip(p, q, strict=True) for pair in ((a, a + b), (b, a + b))]
    return sum(one / 2 * math.log(2 * one / both) for one, both in pairs if one)


def test_matrix_equals_pairs_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    p, q = distributions(13, 5, 0), distributions(17, 5, 1)
    expected = [[slow(a, b) for b in q] for a in p]
    for block in (1, 10, 100, 2**17):
        monkeypatch.setattr(module, "_BLOCK", block)
        np.testing.assert_allclose(jensen_shannon_matrix(p, q), expected, atol=1e-14)
        np.testing.assert_allclose(jensen_shannon(p, q[:13]), np.diag(expected), atol=1e-14)


@settings(deadline=None)
@given(weights, weights)
def test_is_a_symmetric_divergence(first: NDArray[np.float64], second: NDArray[np.float64]) -> None:
    p, q = normalised(first), normalised(second)
    result = jensen_shannon_matrix(p, q)
    assert result.min() >= 0
    assert result.max() <= math.log(2)
    np.testing.assert_allclose(result, jensen_shannon_matrix(q, p).T, atol=1e-15)
    np.testing.assert_allclose(np.diag(result), jensen_shannon(p, q), atol=1e-15)
    np.testing.assert_allclose(np.diag(jensen_shannon_matrix(p, p)), 0, atol=1e-15)
    assert (jensen_shannon(p, p) == 0).all()


def test_equal_documents_are_equally_far_to_the_last_bit() -> None:
    p, q = distributions(3, 50, 0), distributions(7, 50, 1)
    result = jensen_shannon_matrix(p, np.tile(q, (300, 1)))
    assert (result.reshape(3, 300, 7) == result[:, None, :7]).all()


def test_nothing_is_compared_with_nothing_and_shapes_must_fit() -> None:
    none, some, wider = np.zeros((0, 4)), distributions(3, 4, 0), distributions(3, 5, 0)
    assert jensen_shannon(none, none).shape == (0,)
    assert jensen_shannon_matrix(none, some).shape == (0, 3)
    assert jensen_shannon_matrix(some, none).shape == (3, 0)
    with pytest.raises(DataError, match=r"the shapes are \(3, 4\) and \(3, 5\)"):
        jensen_shannon(some, wider)
    with pytest.raises(DataError, match="the first distributions have 4 topics, the second 5"):
        jensen_shannon_matrix(some, wider)


def test_memory_is_bounded() -> None:
    p, q = distributions(1_000, 100, 0), distributions(1_000, 100, 1)
    tracemalloc.start()
    jensen_shannon_matrix(p, q)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.5, 0.5], [2.0, 0.4]], "θ: item 1 sums to 2.4; expected 1: give probabilities"),
        ([[0.5, 0.5], [0.5, 0.498]], "θ: item 1 sums to 0.998"),
        ([[1.5, -0.5]], "θ: item 0 has a negative value; give probabilities, not logits"),
        ([[0.5, 0.5], [np.nan, 1.0]], "θ: item 1 has a value that is not finite"),
        ([[np.inf, 0.0]], "θ: item 0 has a value that is not finite"),
        ([0.5, 0.5], r"θ has shape \(2,\); expected \(items, topics\)"),
        (np.zeros((3, 0)), r"θ has shape \(3, 0\)"),
    ],
)
def test_refuses_anything_else(rows: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_distributions(np.asarray(rows), "θ")
