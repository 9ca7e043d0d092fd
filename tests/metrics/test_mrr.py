"""MRR against a loop, every order of ties, and chance."""

from fractions import Fraction
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.spatial.distance import jensenshannon

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import MRR
from octis_m3l.metrics import linked as module
from octis_m3l.metrics.mrr import expected_by_chance, reciprocal_ranks

from .contract import MetricContract
from .orders import Ranking, mean_over_orders, rankings, reciprocal_rank
from .planted import constant_output, text_view


class TestMRR(MetricContract):
    metric = MRR
    arguments: ClassVar = {"query": "en", "target": "de"}


@settings(deadline=None)
@given(rankings())
def test_ties_are_the_mean_over_every_order(ranking: Ranking) -> None:
    distances, relevant = ranking
    expected = [
        mean_over_orders(d, r, reciprocal_rank) for d, r in zip(distances, relevant, strict=True)
    ]
    np.testing.assert_allclose(reciprocal_ranks(distances, relevant), expected, rtol=1e-12)


def test_without_ties_is_one_over_the_rank() -> None:
    random = np.random.default_rng(0)
    distances, relevant = random.random((40, 30)), random.random((40, 30)) < 0.1
    relevant[:, 3] = True
    expected = [
        reciprocal_rank(list(r[np.argsort(d)])) for d, r in zip(distances, relevant, strict=True)
    ]
    np.testing.assert_array_equal(reciprocal_ranks(distances, relevant), expected)


@pytest.mark.parametrize("targets", [1, 2, 7])
def test_chance_is_exact(targets: int) -> None:
    for relevant in range(1, targets + 1):
        places = list(combinations(range(1, targets + 1), relevant))
        expected = sum(Fraction(1, min(chosen)) for chosen in places) / len(places)
        chance = expected_by_chance(targets, np.array([relevant]))
        assert chance[0] == pytest.approx(float(expected), rel=1e-14)


def test_chance_of_many_relevant_among_many_stays_finite() -> None:
    chance = expected_by_chance(20_000, np.array([1, 10_000, 20_000]))
    assert np.isfinite(chance).all()
    assert chance[1] == pytest.approx(np.log(2), abs=1e-4)
    assert chance[2] == 1.0


@pytest.mark.parametrize(("query", "target"), [("en", "de"), ("en", "image"), ("image", "en")])
def test_a_constant_model_scores_chance(dataset: MultiviewDataset, query: str, target: str) -> None:
    metric = MRR(dataset, query, target)
    assert metric.score(constant_output(dataset)) == metric.chance()
    assert 0 < metric.chance() < 1


@pytest.mark.parametrize("at_once", [1, 50, 2**20])
def test_equals_a_loop_over_queries(
    dataset: MultiviewDataset,
    output: dict[str, Any],
    at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_DISTANCES_AT_ONCE", at_once)
    english, images = dataset.view("en").rows("test"), dataset.view("image").rows("test")
    images_of = dataset.tuples("image")[images]
    expected = []
    for i, number in enumerate(dataset.tuples("en")[english]):
        if number in images_of:
            theta = output["test-topic-document-matrix/en"][:, i]
            others = output["test-topic-document-matrix/image"].T
            distances = [jensenshannon(theta, other) for other in others]
            expected.append(reciprocal_rank(list(images_of[np.argsort(distances)] == number)))
    items = MRR(dataset, "en", "image").per_item(output)
    np.testing.assert_allclose(items, expected, rtol=1e-12)
    assert len(items) == english.stop - english.start - 2


def test_equal_documents_tie_and_agreement_scores_one() -> None:
    random = np.random.default_rng(0)
    views = [text_view(name, 9, (3, 1, 40), random) for name in ("en", "de")]
    dataset = MultiviewDataset(views, links=np.repeat(np.arange(44)[:, None], 2, axis=1))
    theta = random.dirichlet(np.full(50, 0.1), size=40)
    key = "test-topic-document-matrix"
    metric = MRR(dataset, "en", "de")
    assert metric.score({f"{key}/en": theta.T, f"{key}/de": theta.T}) == 1.0
    doubled = theta.copy()
    doubled[20:] = theta[:20]
    assert metric.score({f"{key}/en": doubled.T, f"{key}/de": doubled.T}) == 0.75
    # What only rounding of floats tells apart is equal.
    shaken = doubled * (1 + 1e-14 * random.standard_normal(doubled.shape))
    assert metric.score({f"{key}/en": doubled.T, f"{key}/de": shaken.T}) == 0.75


def test_needs_two_linked_views(dataset: MultiviewDataset) -> None:
    with pytest.raises(SettingsError, match="query and target are both 'de'; name two different"):
        MRR(dataset, "de", "de")
    random = np.random.default_rng(0)
    views = [text_view(name, 9, (3, 1, 2), random) for name in ("en", "de")]
    with pytest.raises(DataError, match="no item of 'en' is linked to an item of 'de' in the test"):
        MRR(MultiviewDataset(views), "en", "de")
