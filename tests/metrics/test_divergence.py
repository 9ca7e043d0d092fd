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
from scipy.spatial.distance import jensenshannon

from octis_m3l.errors import DataError
from octis_m3l.metrics import divergence as module
from octis_m3l.metrics import jensen_shannon, jensen_shannon_matrix
from octis_m3l.metrics.divergence import Neighbours, as_distributions

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


@settings(deadline=None)
@given(weights, weights, st.integers(0, 3), st.sampled_from([1, 50, 2**18]))
def test_nearer_and_tied_are_counted_as_a_loop_does(
    first: NDArray[np.float64], second: NDArray[np.float64], limit: int, at_once: int
) -> None:
    p, q = normalised(first), normalised(second)
    with pytest.MonkeyPatch.context() as patched:
        for size in ("_PAIRS", "_BLOCK"):
            patched.setattr(module, size, at_once)
        found = count_around(p, q, limit)
    distances = np.array([[slow(a, b) for b in q] for a in p])
    # Other numbers than equal ones differ by more, since weights are small integers.
    gap = distances - distances[:, [limit]]
    np.testing.assert_array_equal(found[0], (gap < -1e-9).sum(axis=1))
    np.testing.assert_array_equal(found[1], (np.abs(gap) <= 1e-9).sum(axis=1))


def count_around(p: NDArray[np.float64], q: NDArray[np.float64], limit: int) -> Any:
    """Return how many rows of q are nearer to each row of p than one of them is, and as near."""
    neighbours, rows = Neighbours(p, q), np.arange(len(p))
    limits = neighbours.divergences(rows, np.full(len(p), limit))
    return neighbours.count(rows, limits)


@pytest.mark.parametrize("topics", [1, 2, 20, 300])
@pytest.mark.parametrize("sharp", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("like", [0.0, 1e-7, 1e-3, 1.0])
def test_counts_are_exact_for_flat_and_sharp_near_and_far_documents(
    topics: int, sharp: float, like: float
) -> None:
    random = np.random.default_rng(topics)
    logits = sharp * random.standard_normal((200, topics))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    q = p * np.exp(like * random.standard_normal(p.shape))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    rows = random.integers(200, size=300)
    columns = np.where(rows < 100, rows, random.integers(200, size=300))
    neighbours = Neighbours(p, q)
    limits = neighbours.divergences(rows, columns)
    nearer, tied = neighbours.count(rows, limits)
    distances = np.array([jensenshannon(p[[row]], q, axis=1) ** 2 for row in rows])
    distances = np.nan_to_num(distances)
    limits = distances[np.arange(300), columns]
    surely = (distances < limits[:, None] - 1e-11).sum(axis=1)
    perhaps = (distances <= limits[:, None] + 1e-11).sum(axis=1)
    assert (surely <= nearer).all()
    assert (tied >= 1).all()
    assert (nearer + tied <= perhaps).all()
    assert (like, sharp) != (1.0, 1.0) or topics < 20 or (surely + 1 == perhaps).mean() > 0.9


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
