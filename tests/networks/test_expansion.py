"""Widened bags of words beside the slow definition; the sparse layer beside the dense one."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from octis_m3l.data import words as neighbours
from octis_m3l.data.batches import SparseRows
from octis_m3l.data.words import nearest_words
from octis_m3l.networks import Expansion, SparseLinear, expansion_table


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


def sparse(counts: NDArray[Any]) -> SparseRows:
    rows, words = np.nonzero(counts)
    return SparseRows(
        torch.from_numpy(rows),
        torch.from_numpy(words),
        torch.from_numpy(counts[rows, words]),
        torch.from_numpy(counts.sum(axis=1)),
    )


@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize("k", [1, 3, 100])
def test_it_is_the_slow_definition_cell_by_cell(views: int, k: int) -> None:
    random = np.random.default_rng(views)
    vectors = {f"v{n}": random.normal(size=(5 + 3 * n, 4)) for n in range(views)}
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
        widened = Expansion(expansion_table(vectors, name, k))(sparse(counts))
        np.testing.assert_array_equal(widened.dense(sum(sizes)).numpy(), expected)
        np.testing.assert_array_equal(widened.totals.numpy(), expected.sum(axis=1))
        assert (widened.rows.diff() >= 0).all()


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_neighbours_are_the_first_of_a_stable_sort(
    seed: int, words: int, others: int, count: int
) -> None:
    random = np.random.default_rng(seed)
    # Few different directions: many ties; some words have no vector.
    own = random.integers(-1, 2, (words, 2)).astype(float)
    other = random.integers(-1, 2, (others, 2)).astype(float)
    vectors = {"a": own, "b": other}
    for target in ("a", "b"):
        found = nearest_words(own, None if target == "a" else other, count)
        for word, row in enumerate(found.tolist()):
            kept = [near for near in row if near >= 0]
            assert len(set(kept)) == len(kept)
            if not own[word].any():
                assert kept == []
                continue
            near = [cosine(own[word], vectors[target][n]) for n in kept]
            assert near == sorted(near, reverse=True) or np.all(np.diff(near) < 1e-12)
            assert all(vectors[target][n].any() for n in kept)
            left = [
                cosine(own[word], vectors[target][n])
                for n in range(len(vectors[target]))
                if n not in kept and vectors[target][n].any() and not (target == "a" and n == word)
            ]
            if left:
                assert len(kept) == count
                assert max(left) <= min(near) + 1e-12


def test_large_vocabularies_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 6))
    whole = nearest_words(vectors, None, 4)
    monkeypatch.setattr(neighbours, "_SCORES_AT_ONCE", 170)
    np.testing.assert_array_equal(nearest_words(vectors, None, 4), whole)


def test_the_sparse_layer_is_the_dense_one() -> None:
    torch.manual_seed(0)
    counts = np.random.default_rng(0).poisson(0.3, size=(6, 20)).astype(np.float64)
    counts[[0, 3, 5]] = 0
    ours, plain = SparseLinear(20, 4).double(), nn.Linear(20, 4).double()
    with torch.no_grad():
        plain.weight.copy_(ours.weight.T)
        plain.bias.copy_(ours.bias)
    found, expected = ours(sparse(counts)), plain(torch.from_numpy(counts))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert ours.weight.abs().max() <= 1 / np.sqrt(20)
    found.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad.T, rtol=1e-12, atol=1e-12)  # type: ignore[union-attr]
    torch.testing.assert_close(ours.bias.grad, plain.bias.grad, rtol=1e-12, atol=1e-12)


def test_several_entries_of_a_word_add_up() -> None:
    layer = SparseLinear(3, 2).double()
    twice = SparseRows(
        torch.tensor([0, 0, 1]),
        torch.tensor([2, 2, 0]),
        torch.tensor([1.0, 1.0, 3.0], dtype=torch.float64),
        torch.tensor([2.0, 3.0], dtype=torch.float64),
    )
    once = sparse(np.array([[0.0, 0.0, 2.0], [3.0, 0.0, 0.0]]))
    torch.testing.assert_close(layer(twice), layer(once))
