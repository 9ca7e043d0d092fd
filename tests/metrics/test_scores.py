"""Scores of every measure at once: what fails, what is left out, and metrics of one's own."""

import warnings
from io import StringIO
from typing import Any

import numpy as np
import pytest
from octis.evaluation_metrics.classification_metrics import F1Score
from octis.evaluation_metrics.diversity_metrics import TopicDiversity
from octis.evaluation_metrics.metrics import AbstractMetric
from rich.console import Console
from scipy.spatial.distance import jensenshannon

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import (
    JSD,
    METRICS,
    MRR,
    UAP,
    CrosslingualClassification,
    OnView,
    OverViews,
    applicable,
    score_all,
)
from octis_m3l.metrics.scores import scores_of
from octis_m3l.reports import scores_table

from .planted import TEST, Data, Output, text_view, unlinked

LOST = 3


class Counts(AbstractMetric):  # type: ignore[misc]
    """Say how many entries an output has."""

    def score(self, output: Output) -> int:
        return len(output)


class Fails(AbstractMetric):  # type: ignore[misc]
    """Raise something that has two lines."""

    def score(self, output: Output) -> float:
        raise RuntimeError("no luck\nat all")


def test_a_measure_that_fails_is_nan_and_named(dataset: Data, output: Output) -> None:
    whole = score_all(dataset, output)
    output["topics/de"] = output["topics/de"] + 1000
    with pytest.warns(UserWarning) as told:
        scores = score_all(dataset, output)
    said = [str(warning.message) for warning in told]
    assert [message.split(":")[0] for message in said] == [
        "tu of de has no score",
        "npmi of de has no score",
        "document-npmi of de has no score",
    ]
    assert "has word indices from 1000 to" in said[0]
    for name, by_view in whole.items():
        for where, score in by_view.items():
            failed = where == "de" and name in ("tu", "npmi", "document-npmi")
            assert np.isnan(scores[name][where]) if failed else scores[name][where] == score


def test_one_s_own_metrics_go_beside_names(dataset: Data, output: Output) -> None:
    own = [Counts(), MRR(dataset, "en", "de"), Counts(), Fails()]
    with pytest.warns(UserWarning, match="^Fails has no score: RuntimeError: no luck$"):
        scores = score_all(dataset, output, metrics=["tu", *own])
    assert list(scores) == ["tu", "Counts", "MRR(en, de, test)", "Counts 2", "Fails"]
    assert scores["Counts"] == scores["Counts 2"] == {"": len(output)}
    assert np.isnan(scores["Fails"][""])
    assert scores["MRR(en, de, test)"][""] == MRR(dataset, "en", "de").score(output)
    assert score_all(dataset, output, metrics="tu") == {"tu": scores["tu"]}
    assert score_all(dataset, output, metrics=Counts()) == {"Counts": {"": len(output)}}


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["mrr", MRR], "class MRR is no metric; expected one that is built .* or a name .mrr, uap"),
        ([5], "5 is no metric; expected"),
        ("mmr", r"unknown metric 'mmr'\. Did you mean 'mrr'\?"),
    ],
)
def test_what_is_no_metric_is_refused(
    dataset: Data, output: Output, metrics: Any, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        score_all(dataset, output, metrics=metrics)


def test_what_applies_depends_on_topk_and_links(dataset: Data, output: Output) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {*score_all(dataset, output)} == {*METRICS} - {"cnpmi", "topic-quality"}
    scores = score_all(dataset, output, topk=1)
    assert {"mrr", "tu", "classification"} <= {*scores}
    assert not {"npmi", "document-npmi"} & {*scores}
    with pytest.raises(SettingsError, match="topk=1: expected a whole number, 2 or more"):
        score_all(dataset, output, metrics=["npmi"], topk=1)


def test_what_was_asked_for_and_does_not_apply_is_said(output: Output) -> None:
    random = np.random.default_rng(0)
    alone = MultiviewDataset([text_view(n, 25, (4, 0, 3), random) for n in ("en", "de")])
    theta = {f"{TEST}/{name}": np.full((2, 3), 0.5) for name in ("en", "de")}
    words = {f"topics/{name}": output["topics/de"] for name in ("en", "de")}
    with pytest.warns(UserWarning, match=r"'mrr' needs items of two views .* test partition"):
        scores = score_all(alone, theta | words, metrics=["mrr", "tu"])
    assert list(scores) == ["tu"]
    with pytest.warns(UserWarning, match="the validation partition holds no items"):
        empty = {k.replace("test", "validation"): np.zeros((2, 0)) for k in theta}
        assert "tu" in score_all(alone, empty | words, "validation")


# Documents whose θ is not finite.


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_are_those_without_the_documents_that_are_not_finite(
    dataset: Data, output: Output, value: float, dtype: type
) -> None:
    output[f"{TEST}/de"] = output[f"{TEST}/de"].astype(dtype)
    output[f"{TEST}/de"][0, LOST] = value
    message = f"'{TEST}/de' is not finite for 1 of 12 items .the first: item 3.; they are left out"
    asked, tuples = (dataset.tuples(n)[dataset.view(n).rows("test")] for n in ("en", "de"))
    english, german = (np.asarray(output[f"{TEST}/{n}"], np.float64).T for n in ("en", "de"))
    kept = np.delete(np.arange(len(tuples)), LOST)
    ranks, apart = [], []
    for theta, number in zip(english, asked, strict=True):
        distances = np.array([jensenshannon(theta, german[i]) for i in kept])
        for own in distances[tuples[kept] == number]:
            ranks.append(1 / (1 + sum(distances < own)))
            apart.append(own**2)
    for metric, expected in ((MRR, ranks), (UAP, ranks), (JSD, apart)):
        with pytest.warns(UserWarning, match=message):
            items = metric(dataset, "en", "de").per_item(output)
        assert np.isnan(items).sum() == 1
        with pytest.warns(UserWarning, match=message):
            score = metric(dataset, "en", "de").score(output)
        assert score == pytest.approx(np.mean(expected), rel=1e-3)
    backwards = MRR(dataset, "de", "en")
    with pytest.warns(UserWarning, match=message):
        lost = np.isnan(backwards.per_item(output))
    assert backwards.item_tuples()[lost].tolist() == [tuples[LOST]]
    with pytest.warns(UserWarning, match=message):
        assert np.isfinite(OverViews(dataset, "mrr").score(output))


def test_documents_that_are_not_finite_are_not_classified(dataset: Data, output: Output) -> None:
    metric = CrosslingualClassification(dataset, "en", "de")
    before = metric.per_item(output)
    output[f"{TEST}/de"][:, LOST] = np.nan
    with pytest.warns(UserWarning, match="1 of 12 items"):
        items = metric.per_item(output)
    assert np.flatnonzero(np.isnan(items)).tolist() == [LOST]
    np.testing.assert_array_equal(np.delete(items, LOST), np.delete(before, LOST))
    f1 = CrosslingualClassification(dataset, "en", "de", score_by="macro-f1")
    with pytest.warns(UserWarning, match="1 of 12 items"):
        assert 0 <= f1.score(output) <= 1
    output["topic-document-matrix/en"][:, :-1] = np.nan
    with (
        pytest.warns(UserWarning, match="of 40 items|of 12 items"),
        pytest.raises(DataError, match="too few documents of 'en' and 'de' have a finite θ"),
    ):
        metric.score(output)
    output[f"{TEST}/de"][:] = np.nan
    with pytest.raises(DataError, match="is finite for none of 12 items; did training diverge"):
        MRR(dataset, "en", "de").score(output)


@pytest.mark.parametrize("topics", [1, 2])
def test_few_topics_that_say_the_same(dataset: Data, output: Output, topics: int) -> None:
    alike = {
        key: np.full((topics, value.shape[1]), 1 / topics)
        if "document" in key
        else np.repeat(value[:1], topics, axis=0)
        for key, value in output.items()
    }
    scores = score_all(dataset, alike)
    assert scores["mrr"]["en-image"] == MRR(dataset, "en", "image").chance()
    assert set(scores["jsd"].values()) == {0.0}
    assert scores["tu"]["en"] == 1 / topics
    chance = CrosslingualClassification(dataset, "en", "de").chance()
    assert scores["classification"]["en-de"] == chance


# Metrics of OCTIS.


def test_octis_classification_metrics_are_computed_anew() -> None:
    # OCTIS remembers by an abbreviated print, in which large outputs look the same.
    random = np.random.default_rng(0)
    data = MultiviewDataset([text_view("en", 25, (400, 0, 400), random)])
    train = random.dirichlet(np.ones(5), 400).T
    one = {"topic-document-matrix": train, TEST: random.dirichlet(np.ones(5), 400).T}
    shuffled = train.copy()
    shuffled[:, 50:350] = train[:, 50 + random.permutation(300)]
    other = {**one, "topic-document-matrix": shuffled}
    assert str(one) == str(other)
    alone, between = (score_all(data, o, metrics=[F1Score(data)]) for o in (other, one))
    assert score_all(data, other, metrics=[F1Score(data)]) == alone != between


def test_a_metric_on_a_view_is_not_shown_other_documents(dataset: Data, output: Output) -> None:
    classified = OnView(F1Score(dataset.monolingual("de")), "de", dataset)
    assert 0 < classified.score(output) < 1
    output[f"{TEST}/de"] = output[f"{TEST}/de"][:, :-1]
    with pytest.raises(DataError, match=rf"'{TEST}/de' has shape \(5, 11\); expected \(topics, 12"):
        classified.score(output)
    assert OnView(TopicDiversity(), "de", dataset).score(output) > 0, "which reads no θ"


def test_uap_is_shown_once_where_it_is_mrr(dataset: Data, output: Output) -> None:
    def shown(data: Data, *names: str) -> str:
        console = Console(width=200, record=True, file=StringIO())
        metrics = applicable(data, output, metrics=names)
        console.print(scores_table(scores_of(metrics, output), metrics))
        return console.export_text()

    texts = dataset.with_views(["en", "de"])
    assert "uap is omitted where it equals mrr" in shown(texts, "mrr", "uap")
    assert shown(texts, "mrr", "uap").count("uap") == 1
    lines = [line.split() for line in shown(dataset, "mrr", "uap").splitlines() if "uap" in line]
    assert [line[3] for line in lines[:-1]] == ["en-image", "de-image"], "several answers"
    assert "omitted" not in shown(texts, "uap")


# OverViews.


@pytest.mark.parametrize("measure", ["mrr", "jsd", "tu"])
def test_is_the_mean_of_all_scores(dataset: Data, output: Output, measure: str) -> None:
    metric = OverViews(dataset, measure, "validation", 4)
    scores = score_all(dataset, output, "validation", [measure], topk=4)[measure]
    assert len(scores) > 1
    assert metric.score(output) == pytest.approx(np.mean(list(scores.values())))
    assert metric.direction == METRICS[measure].direction
    assert metric.range == METRICS[measure].range
    assert metric.get_params() == ["measure", "partition", "topk"]
    where = "" if measure == "tu" else " (validation)"
    assert metric.info()["name"] == f"{measure}, mean over views{where}"
    again = OverViews(dataset, **{name: getattr(metric, name) for name in metric.get_params()})
    assert again.score(output) == metric.score(output)
    with pytest.raises(DataError, match="'mrr' applies to no view and no pair of views"):
        OverViews(unlinked(dataset), "mrr").score(output)
