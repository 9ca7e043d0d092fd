"""MRR, UAP and JSD of linked items against loops, every order of ties, and chance."""

import warnings
from collections.abc import Callable
from io import StringIO
from itertools import combinations, permutations
from statistics import fmean
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rich.console import Console
from scipy.spatial.distance import jensenshannon
from scipy.stats import bootstrap
from sklearn.metrics import average_precision_score

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import SettingsError
from octis_m3l.metrics import JSD, MRR, UAP, divergence, linked, retrieval
from octis_m3l.metrics.outputs import THETA_KEYS
from octis_m3l.metrics.retrieval import Retrieval
from octis_m3l.metrics.scores import applicable, scores_of
from octis_m3l.reports import scores_table

from .contract import MetricContract
from .planted import TEST, Data, Output, constant_output, text_view


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


MEASURES: list[tuple[Any, Any, Callable[[list[bool]], float]]] = [
    (retrieval.reciprocal_ranks, retrieval.reciprocal_rank_by_chance, reciprocal_rank),
    (retrieval.average_precisions, retrieval.average_precision_by_chance, average_precision),
]


@st.composite
def rankings(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Draw distances with many ties, and at least one relevant target for each query."""
    targets, random = draw(st.integers(1, 6)), np.random.default_rng(draw(st.integers(0, 2**32)))
    distances = random.integers(0, 3, (3, targets)).astype(float)
    relevant = random.random((3, targets)) < draw(st.sampled_from([0.0, 0.3, 0.8]))
    relevant[np.arange(3), random.integers(targets, size=3)] = True
    return distances, relevant


@pytest.mark.parametrize(("measured", "chance", "plain"), MEASURES)
@settings(deadline=None)
@given(ranking=rankings())
def test_ties_are_the_mean_over_every_order(
    measured: Any, chance: Any, plain: Any, ranking: Any
) -> None:
    expected = []
    for distances, relevant in zip(*ranking, strict=True):
        orders = [
            list(order)
            for order in permutations(range(len(distances)))
            if (np.diff(distances[list(order)]) >= 0).all()
        ]
        expected.append(fmean(plain(relevant[order].tolist()) for order in orders))
    np.testing.assert_allclose(measured(*ranking), expected, rtol=1e-12)


@pytest.mark.parametrize(("measured", "chance", "plain"), MEASURES)
def test_chance_is_exact(measured: Any, chance: Any, plain: Any) -> None:
    for targets, relevant in [(t, r) for t in (1, 2, 7) for r in range(1, t + 1)]:
        expected = fmean(
            plain([place in chosen for place in range(targets)])
            for chosen in combinations(range(targets), relevant)
        )
        assert chance(targets, np.array([relevant]))[0] == pytest.approx(expected, rel=1e-13)


def test_chance_of_many_relevant_among_many_stays_finite() -> None:
    chance = retrieval.reciprocal_rank_by_chance(20_000, np.array([1, 10_000, 20_000]))
    assert np.isfinite(chance).all()
    assert chance[1] == pytest.approx(np.log(2), abs=1e-4)
    assert chance[2] == 1.0


@pytest.mark.parametrize("metric", [MRR, UAP])
@pytest.mark.parametrize(("query", "target"), [("en", "de"), ("en", "image"), ("image", "en")])
def test_a_constant_model_scores_chance(
    metric: Any, query: str, target: str, dataset: Data
) -> None:
    one = metric(dataset, query, target)
    assert one.score(constant_output(dataset)) == one.chance()
    assert 0 < one.chance() < 1


def test_mrr_and_uap_equal_a_loop_over_queries(
    dataset: Data, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    english, images = dataset.view("en").rows("test"), dataset.view("image").rows("test")
    images_of = dataset.tuples("image")[images]
    ranks, precisions = [], []
    for i, number in enumerate(dataset.tuples("en")[english]):
        if number in images_of:
            theta = output[f"{TEST}/en"][:, i]
            distances = np.array([jensenshannon(theta, o) for o in output[f"{TEST}/image"].T])
            ranks.append(reciprocal_rank(list(images_of[np.argsort(distances)] == number)))
            precisions.append(average_precision_score(images_of == number, -distances))
    assert len(ranks) == english.stop - english.start - 2
    for at_once in (1, 50, 2**20):
        for size in ("_PAIRS", "_BLOCK"):
            monkeypatch.setattr(divergence, size, at_once)
        found = [metric(dataset, "en", "image").per_item(output) for metric in (MRR, UAP)]
        np.testing.assert_allclose(found, [ranks, precisions], rtol=1e-12)


@pytest.mark.parametrize("partition", THETA_KEYS)
def test_jsd_equals_a_loop_over_pairs(
    dataset: Data, output: Output, partition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linked, "_PAIRS_AT_ONCE", 4)
    key = THETA_KEYS[partition]
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
    doubled = np.concatenate([theta[:20], theta[:20]])
    # Differences that only the rounding of floats makes do not count.
    shaken = doubled * (1 + 1e-14 * random.standard_normal(doubled.shape))
    for one, other, score in ((theta, theta, 1), (doubled, doubled, 0.75), (doubled, shaken, 0.75)):
        found = {f"{TEST}/en": one.T, f"{TEST}/de": other.T}
        assert MRR(dataset, "en", "de").score(found) == score


def noisy_pair(count: int) -> tuple[MultiviewDataset, dict[str, Any]]:
    """Return linked test items, and θ that often have another's counterpart nearer."""
    random = np.random.default_rng(0)
    views = [text_view(name, 9, (3, 1, count), random) for name in ("en", "de")]
    dataset = MultiviewDataset(views, links=np.repeat(np.arange(count + 4)[:, None], 2, axis=1))
    one = random.dirichlet(np.full(6, 0.5), size=count)
    other = 0.6 * one + 0.4 * random.dirichlet(np.full(6, 0.5), size=count)
    return dataset, {f"{TEST}/en": one.T, f"{TEST}/de": other.T}


@pytest.mark.parametrize("metric", [MRR, UAP])
def test_a_sample_of_queries_and_its_interval(metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, output = noisy_pair(600)
    every = metric(dataset, "en", "de")
    exact = every.score(output)
    assert (every.sampled, every.margin) == (None, 0.0)
    some = metric(dataset, "en", "de", queries=150)
    score = some.score(output)
    assert some.sampled == (150, 600)
    # The same queries each time, scored as among all of them.
    items, whole = some.per_item(output), every.per_item(output)
    np.testing.assert_array_equal(metric(dataset, "en", "de", queries=150).per_item(output), items)
    places = np.searchsorted(every.item_tuples(), some.item_tuples())
    np.testing.assert_array_equal(whole[places], items)
    assert len({*places.tolist()}) == 150
    assert places.max() > 400
    expected = bootstrap(
        (items,), np.mean, confidence_level=0.95, method="basic", random_state=1
    ).confidence_interval
    # A sample of a quarter without replacement varies less than one with.
    width = (expected.high - expected.low) / 2 * np.sqrt(1 - 150 / 600)
    assert some.margin == pytest.approx(width, rel=0.1)
    assert abs(score - exact) < 2 * some.margin
    assert metric(dataset, "en", "de", queries=600).sampled is None
    assert metric(dataset, "en", "de", queries=10**6).sampled is None
    assert metric(dataset, "en", "de").queries == retrieval.MOST_QUERIES == 20_000
    assert every.info()["name"] == f"{metric.__name__}(en, de, test)"
    assert some.info()["name"] == f"{metric.__name__}(en, de, test, 150)"
    with pytest.raises(SettingsError, match="queries=0: expected a whole number, 1 or more"):
        metric(dataset, "en", "de", queries=0)


@pytest.mark.filterwarnings("ignore:the output's:UserWarning")
def test_queries_without_topics_make_the_interval_wider() -> None:
    dataset, output = noisy_pair(600)
    some = MRR(dataset, "en", "de", queries=150)
    some.score(output)
    whole, asked = some.margin, some.item_tuples() - 4
    theta = output[f"{TEST}/en"].astype(np.float64).copy()
    theta[:, asked[:120]] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        some.score(output | {f"{TEST}/en": theta})
        assert 1.5 * whole < some.margin < 3 * whole
        theta[:, asked[1:]] = np.nan
        theta[:, asked[0]] = output[f"{TEST}/en"][:, asked[0]]
        some.score(output | {f"{TEST}/en": theta})
        assert some.margin == np.inf


def test_the_interval_holds_the_score_of_all_queries_as_often_as_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset, output = noisy_pair(600)
    exact = MRR(dataset, "en", "de").score(output)
    held = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        with monkeypatch.context() as patch:
            patch.setattr(np.random, "default_rng", lambda _, random=random: random)
            some = MRR(dataset, "en", "de", queries=150)
        held += abs(some.score(output) - exact) <= some.margin
    # Six standard deviations of 200 draws below 95 %.
    assert held >= 200 * 0.95 - 6 * np.sqrt(200 * 0.95 * 0.05)
    assert held < 200


def test_a_sample_is_said_in_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, output = noisy_pair(600)
    monkeypatch.setattr(Retrieval.__init__, "__defaults__", ("test", 100))
    metrics = applicable(dataset, output, metrics=["mrr"])
    assert {metric.queries for metric in metrics["mrr"].values()} == {100}
    console = Console(width=150, record=True, file=StringIO())
    scores = scores_of(metrics, output)
    console.print(scores_table(scores, metrics))
    shown = " ".join(console.export_text().split())
    for where in ("en-de", "de-en"):
        assert f"{scores['mrr'][where]:.4f} ± {metrics['mrr'][where].margin:.4f}" in shown
    assert "±: 95 % interval, since 100 of 600 queries (en-de), 100 of 600 queries" in shown
