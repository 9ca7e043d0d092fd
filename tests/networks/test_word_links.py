"""Widened bags of words beside the slow definition."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from plain import sparse_rows

from octis_m3l.data import words as neighbours
from octis_m3l.networks import Expansion, expansion_table


def cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / lengths) if lengths else -np.inf


def slow_neighbours(
    vectors: dict[str, NDArray[Any]], a: str, b: str, word: int, k: int
) -> set[int]:
    """Return the k nearest words in b of a word of a, one pair of words after another."""
    scores = [
        (-cosine(vectors[a][word], vectors[b][other]), other)
        for other in range(len(vectors[b]))
        if not (a == b and word == other)
    ]
    return {other for score, other in sorted(scores)[:k] if np.isfinite(score)}


@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize("k", [1, 3, 100])
def test_it_is_the_slow_definition_cell_by_cell(
    views: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where k is small, scores are computed in pieces.
    monkeypatch.setattr(neighbours, "_SCORES_AT_ONCE", 20 * k)
    random = np.random.default_rng(views)
    vectors = {f"v{n}": random.normal(size=(5 + 3 * n, 4)) for n in range(views)}
    for of in vectors.values():
        of[1] = 0
    sizes = [len(of) for of in vectors.values()]
    firsts = np.cumsum([0, *sizes])
    for number, name in enumerate(vectors):
        counts = random.poisson(0.4, size=(7, sizes[number])).astype(np.float64)
        counts[3] = 0
        expected = np.zeros((7, sum(sizes)))
        for document in range(7):
            for word in range(sizes[number]):
                if counts[document, word]:
                    expected[document, firsts[number] + word] += 1
                    for other_number, other in enumerate(vectors):
                        for near in slow_neighbours(vectors, name, other, word, k):
                            expected[document, firsts[other_number] + near] += 1
        widened = Expansion(expansion_table(vectors, name, k))(sparse_rows(counts))
        np.testing.assert_array_equal(widened.dense(sum(sizes)).numpy(), expected)
        np.testing.assert_array_equal(widened.totals.numpy(), expected.sum(axis=1))
        assert (widened.rows.diff() >= 0).all()
