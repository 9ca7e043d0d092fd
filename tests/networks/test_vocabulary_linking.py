"""Linked words against loops over words and translations."""

import numpy as np
import pytest

from octis_m3l.data import words as module
from octis_m3l.networks import linked_words


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / lengths) if lengths else 0.0


@pytest.mark.parametrize("at_once", [1, 2**22])
@pytest.mark.parametrize("threshold", [-1.0, 0.4, 1.0])
def test_equals_a_loop(threshold: float, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SCORES_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    one, other = random.normal(size=(8, 3)), random.normal(size=(6, 4))
    one[2] = other[5] = 0
    pairs = np.unique(random.integers(0, [8, 6], (9, 2)), axis=0)
    forward, backward = np.zeros((8, 6)), np.zeros((8, 6))
    for source, target in pairs:
        for word in range(8):
            near = word == source or (
                one[word].any()
                and one[source].any()
                and cosine(one[word], one[source]) >= threshold
            )
            forward[word, target] += near
        for word in range(6):
            near = word == target or (
                other[word].any()
                and other[target].any()
                and cosine(other[word], other[target]) >= threshold
            )
            backward[source, word] += near
    linked = linked_words(pairs, one, other, threshold)
    for found, expected in ((linked.forward, forward), (linked.backward, backward)):
        dense = np.zeros((8, 6))
        dense[linked.first, linked.second] = found
        np.testing.assert_array_equal(dense, expected)
    assert (linked.forward + linked.backward > 0).all()
    places = linked.first * 6 + linked.second
    assert (np.diff(places) > 0).all()
