"""MRR, UAP and JSD of linked items against loops, every order of ties, and chance."""

from collections.abc import Callable
from itertools import combinations, permutations
from statistics import fmean
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import average_precision_score

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import JSD, MRR, UAP, jsd, linked, mrr, uap

from .contract import MetricContract
from .planted import constant_output, text_view

THETA = "test-topic-document-matrix"


class TestMRR(MetricContract):
    metric = MRR
    arguments: ClassVar = {"query": "en", "target": "de"}


class TestUAP(MetricContract):
    metric = UAP
    arguments: ClassVar = {"query": "en", "target": "image"}


class TestJSD(MetricContract):
    metric = JSD
    arguments: ClassVar = {"first": "en", "second": "de"}


def reciprocal_rank(hits: list[bool]) -> float:
    """Return 1 / place of the first hit."""
    return 1 / (hits.index(True) + 1)


def average_precision(hits: list[bool]) -> float:
    """Return the mean, over hits, of the share of hits up to there."""
    return fmean(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit)


MEASURES: list[tuple[Any, Callable[[list[bool]], float]]] = [
    (mrr.reciprocal_ranks, reciprocal_rank),
    (uap.average_precisions, average_precision),
]


@st.composite
def rankings(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Draw distances with many ties, and at least one relevant target for each query."""
    targets, random = draw(st.integers(1, 6)), np.random.default_rng(draw(st.integers(0, 2**32)))
    distances = random.integers(0, 3, (3, targets)).astype(float)
    relevant = random.random((3, targets)) < draw(st.sampled_from([0.0, 0.3, 0.8]))
    relevant[np.arange(3), random.integers(targets, size=3)] = True
    return distances, relevant


@pytest.mark.parametrize(("measured", "plain"), MEASURES)
@settings(deadline=None)
@given(ranking=rankings())
def test_ties_are_the_mean_over_every_order(measured: Any, plain: Any, ranking: Any) -> None:
    expected = []
    for distances, relevant in zip(*ranking, strict=True):
        orders = [
            list(order)
            for order in permutations(range(len(distances)))
            if (np.diff(distances[list(order)]) >= 0).all()
        ]
        expected.append(fmean(plain(relevant[order].tolist()) for order in orders))
    np.testing.assert_allclose(measured(*ranking), expected, rtol=1e-12)


@pytest.mark.parametrize("targets", [1, 2, 7])
@pytest.mark.parametrize(
    ("chance", "plain"),
    [(mrr.expected_by_chance, reciprocal_rank), (uap.expected_by_chance, average_precision)],
)
def test_chance_is_exact(chance: Any, plain: Any, targets: int) -> None:
    for relevant in range(1, targets + 1):
        expected = fmean(
            plain([place in chosen for place in range(targets)])
            for chosen in combinations(range(targets), relevant)
        )
        assert chance(targets, np.array([relevant]))[0] == pytest.approx(expected, rel=1e-13)


def test_chance_of_many_relevant_among_many_stays_finite() -> None:
    chance = mrr.expected_by_chance(20_000, np.array([1, 10_000, 20_000]))
    assert np.isfinite(chance).all()
    assert chance[1] == pytest.approx(np.log(2), abs=1e-4)
    assert chance[2] == 1.0


@pytest.mark.parametrize("metric", [MRR, UAP])
@pytest.mark.parametrize(("query", "target"), [("en", "de"), ("en", "image"), ("image", "en")])
def test_a_constant_model_scores_chance(
    metric: Any, query: str, target: str, dataset: MultiviewDataset
) -> None:
    one = metric(dataset, query, target)
    assert one.score(constant_output(dataset)) == one.chance()
    assert 0 < one.chance() < 1


@pytest.mark.parametrize("at_once", [1, 50, 2**20])
def test_mrr_and_uap_equal_a_loop_over_queries(
    dataset: MultiviewDataset,
    output: dict[str, Any],
    at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(linked, "_DISTANCES_AT_ONCE", at_once)
    english, images = dataset.view("en").rows("test"), dataset.view("image").rows("test")
    images_of = dataset.tuples("image")[images]
    ranks, precisions = [], []
    for i, number in enumerate(dataset.tuples("en")[english]):
        if number in images_of:
            theta = output[f"{THETA}/en"][:, i]
            distances = np.array([jensenshannon(theta, o) for o in output[f"{THETA}/image"].T])
            ranks.append(reciprocal_rank(list(images_of[np.argsort(distances)] == number)))
            precisions.append(average_precision_score(images_of == number, -distances))
    assert len(ranks) == english.stop - english.start - 2
    found = [metric(dataset, "en", "image").per_item(output) for metric in (MRR, UAP)]
    np.testing.assert_allclose(found, [ranks, precisions], rtol=1e-12)


@pytest.mark.parametrize("partition", ["train", "validation", "test"])
def test_jsd_equals_a_loop_over_pairs(
    dataset: MultiviewDataset,
    output: dict[str, Any],
    partition: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jsd, "_PAIRS_AT_ONCE", 4)
    key = {"train": ""}.get(partition, f"{partition}-") + "topic-document-matrix"
    english, images = dataset.view("en").rows(partition), dataset.view("image").rows(partition)
    expected = [
        jensenshannon(output[f"{key}/en"][:, i], output[f"{key}/image"][:, j]) ** 2
        for i, a in enumerate(dataset.tuples("en")[english])
        for j, b in enumerate(dataset.tuples("image")[images])
        if a == b
    ]
    items = JSD(dataset, "en", "image", partition=partition).per_item(output)
    np.testing.assert_allclose(items, expected, atol=1e-6)
    assert len(items) == images.stop - images.start - 1
    assert JSD(dataset, "en", "image").score(constant_output(dataset)) == 0.0


def test_equal_documents_tie_and_agreement_scores_one() -> None:
    random = np.random.default_rng(0)
    views = [text_view(name, 9, (3, 1, 40), random) for name in ("en", "de")]
    dataset = MultiviewDataset(views, links=np.repeat(np.arange(44)[:, None], 2, axis=1))
    theta = random.dirichlet(np.full(50, 0.1), size=40)
    metric = MRR(dataset, "en", "de")
    assert metric.score({f"{THETA}/en": theta.T, f"{THETA}/de": theta.T}) == 1.0
    doubled = theta.copy()
    doubled[20:] = theta[:20]
    assert metric.score({f"{THETA}/en": doubled.T, f"{THETA}/de": doubled.T}) == 0.75
    # Differences that only the rounding of floats makes do not count.
    shaken = doubled * (1 + 1e-14 * random.standard_normal(doubled.shape))
    assert metric.score({f"{THETA}/en": doubled.T, f"{THETA}/de": shaken.T}) == 0.75


@pytest.mark.parametrize(
    ("metric", "names"),
    [(MRR, "query and target"), (UAP, "query and target"), (JSD, "first and second")],
)
def test_needs_two_linked_views(metric: Any, names: str, dataset: MultiviewDataset) -> None:
    with pytest.raises(SettingsError, match=f"{names} are both 'de'; name two different"):
        metric(dataset, "de", "de")
    alone = MultiviewDataset(dataset.views.values())
    with pytest.raises(DataError, match="no item of 'en' is linked to an item of 'de' in the test"):
        metric(alone, "en", "de")
