"""UAP against scikit-learn, every order of ties, and chance."""

from itertools import combinations
from statistics import fmean
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import average_precision_score

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.metrics import UAP
from octis_m3l.metrics.uap import average_precisions, expected_by_chance

from .contract import MetricContract
from .orders import Ranking, average_precision, mean_over_orders, rankings
from .planted import constant_output


class TestUAP(MetricContract):
    metric = UAP
    arguments: ClassVar = {"query": "en", "target": "image"}


@settings(deadline=None)
@given(rankings())
def test_ties_are_the_mean_over_every_order(ranking: Ranking) -> None:
    distances, relevant = ranking
    expected = [
        mean_over_orders(d, r, average_precision) for d, r in zip(distances, relevant, strict=True)
    ]
    result = average_precisions(distances, relevant)
    np.testing.assert_allclose(result, expected, rtol=1e-12)
    assert result.max() <= 1


def test_without_ties_equals_scikit_learn() -> None:
    random = np.random.default_rng(0)
    distances, relevant = random.random((40, 30)), random.random((40, 30)) < 0.2
    relevant[:, 3] = True
    expected = [average_precision_score(r, -d) for d, r in zip(distances, relevant, strict=True)]
    np.testing.assert_allclose(average_precisions(distances, relevant), expected, rtol=1e-12)


def test_a_perfect_ranking_scores_one() -> None:
    distances = np.tile(np.arange(500.0), (2, 1))
    distances[1] //= 7
    relevant = np.zeros((2, 500), dtype=bool)
    relevant[:, :49] = True
    assert average_precisions(distances, relevant).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("targets", [1, 2, 7])
def test_chance_is_exact(targets: int) -> None:
    for relevant in range(1, targets + 1):
        expected = fmean(
            average_precision([place in chosen for place in range(targets)])
            for chosen in combinations(range(targets), relevant)
        )
        chance = expected_by_chance(targets, np.array([relevant]))
        assert chance[0] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("query", "target"), [("en", "de"), ("en", "image"), ("image", "en")])
def test_a_constant_model_scores_chance(dataset: MultiviewDataset, query: str, target: str) -> None:
    metric = UAP(dataset, query, target)
    assert metric.score(constant_output(dataset)) == metric.chance()
    assert 0 < metric.chance() < 1


def test_equals_a_loop_over_queries(dataset: MultiviewDataset, output: dict[str, Any]) -> None:
    english, images = dataset.view("en").rows("test"), dataset.view("image").rows("test")
    images_of = dataset.tuples("image")[images]
    expected = []
    for i, number in enumerate(dataset.tuples("en")[english]):
        if number in images_of:
            theta = output["test-topic-document-matrix/en"][:, i]
            others = output["test-topic-document-matrix/image"].T
            distances = [jensenshannon(theta, other) for other in others]
            expected.append(average_precision_score(images_of == number, -np.array(distances)))
    np.testing.assert_allclose(UAP(dataset, "en", "image").per_item(output), expected, rtol=1e-12)
