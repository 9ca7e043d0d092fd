"""Cross-lingual classification against scikit-learn used by hand."""

from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score
from sklearn.svm import SVC

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import CrosslingualClassification, applicable

from .contract import MetricContract
from .planted import TOPICS


class TestAccuracy(MetricContract):
    metric = CrosslingualClassification
    arguments: ClassVar[dict[str, Any]] = {"first": "en", "second": "de"}


class TestMacroF1(MetricContract):
    metric = CrosslingualClassification
    arguments: ClassVar[dict[str, Any]] = {"first": "en", "second": "de", "score_by": "macro-f1"}


def labels(dataset: MultiviewDataset, view: str, partition: str) -> list[str]:
    rows = dataset.view(view).rows(partition)
    return list(dataset.view(view).labels or [])[rows]


@pytest.fixture
def telling(dataset: MultiviewDataset, output: dict[str, Any]) -> dict[str, Any]:
    """An output whose θ says the label, alike in both languages, with some noise."""
    random = np.random.default_rng(0)
    for view in ("en", "de"):
        for partition, key in (("train", ""), ("test", "test-")):
            number = [int(label[-1]) for label in labels(dataset, view, partition)]
            theta = random.dirichlet(np.ones(TOPICS), len(number)) + 1.5 * np.eye(TOPICS)[number]
            output[f"{key}topic-document-matrix/{view}"] = (
                theta / theta.sum(axis=1, keepdims=True)
            ).T
    return output


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("features", ["theta", "log-ratio"])
@pytest.mark.parametrize("pair", [("en", "de"), ("de", "de")])
def test_is_an_svm_of_scikit_learn(
    kernel: str,
    features: str,
    pair: tuple[str, str],
    dataset: MultiviewDataset,
    telling: dict[str, Any],
) -> None:
    first, second = pair
    train = telling[f"topic-document-matrix/{first}"].T
    test = telling[f"test-topic-document-matrix/{second}"].T
    if features == "log-ratio":
        train, test = (np.log(m) - np.log(m).mean(axis=1, keepdims=True) for m in (train, test))
    said = SVC(kernel=kernel).fit(train, labels(dataset, first, "train")).predict(test)
    asked = labels(dataset, second, "test")
    given: dict[str, Any] = {"kernel": kernel, "features": features}
    accuracy = CrosslingualClassification(dataset, *pair, **given)
    assert accuracy.score(telling) == pytest.approx(accuracy_score(asked, said))
    assert accuracy.score(telling) > accuracy.chance() + 0.2
    f1 = CrosslingualClassification(dataset, *pair, score_by="macro-f1", **given)
    assert f1.score(telling) == pytest.approx(f1_score(asked, said, average="macro"))


def test_chance_is_the_commonest_training_label(dataset: MultiviewDataset) -> None:
    metric = CrosslingualClassification(dataset, "de", "en")
    learned = labels(dataset, "de", "train")
    commonest = max(sorted(set(learned)), key=learned.count)
    asked = labels(dataset, "en", "test")
    assert metric.chance() == pytest.approx(asked.count(commonest) / len(asked))
    said = [commonest] * len(asked)
    f1 = CrosslingualClassification(dataset, "de", "en", score_by="macro-f1")
    assert f1.chance() == pytest.approx(f1_score(asked, said, average="macro", zero_division=0))


def test_some_training_documents_the_same_ones_each_time(
    dataset: MultiviewDataset, telling: dict[str, Any]
) -> None:
    few = [CrosslingualClassification(dataset, "en", "de", training_documents=9) for _ in range(2)]
    assert few[0].score(telling) == few[1].score(telling)
    whole = CrosslingualClassification(dataset, "en", "de", training_documents=0)
    assert len(few[0]._training_labels) == 9
    assert len(whole._training_labels) == dataset.view("en").sizes[0]


def test_another_output_is_another_classifier(
    dataset: MultiviewDataset, telling: dict[str, Any]
) -> None:
    metric = CrosslingualClassification(dataset, "en", "de")
    before = metric.score(telling)
    turned = dict(telling)
    turned["topic-document-matrix/en"] = telling["topic-document-matrix/en"][::-1]
    assert metric.score(turned) < before
    assert metric.score(telling) == before


def test_what_has_no_labels_is_refused(dataset: MultiviewDataset) -> None:
    with pytest.raises(DataError, match="view 'image' has no labels; build the data set with some"):
        CrosslingualClassification(dataset, "en", "image")
    with pytest.raises(SettingsError, match=r"unknown option 'RBF'. Known: linear, rbf"):
        CrosslingualClassification(dataset, "en", "de", kernel="RBF")
    with pytest.raises(SettingsError, match="training_documents=-1: expected a whole number"):
        CrosslingualClassification(dataset, "en", "de", training_documents=-1)
    texts = {"en": ["oak elm", "elm fir"] * 3, "de": ["ulme eiche", "eiche tanne"] * 3}
    marks = ["train"] * 4 + ["test"] * 2
    alike = MultiviewDataset.from_lists(
        texts, partition=marks, labels=["x"] * 6, languages=dict.fromkeys(texts)
    )
    with pytest.raises(DataError, match="training documents of 'en' all have the label 'x'"):
        CrosslingualClassification(alike, "en", "de")
    apart = MultiviewDataset.from_lists(
        texts,
        partition=marks,
        labels=["x", "y", "x", "y", "z", "z"],
        languages=dict.fromkeys(texts),
    )
    with pytest.raises(DataError, match=r"no label of 'de' \(z\) is one of 'en' \(x, y\)"):
        CrosslingualClassification(apart, "en", "de")


def test_applies_to_the_four_cells_of_views_with_labels(
    dataset: MultiviewDataset, output: dict[str, Any]
) -> None:
    found = applicable(dataset, output, metrics=["classification", "classification-f1"])
    for cells in found.values():
        assert list(cells) == ["en-en", "en-de", "de-en", "de-de"]
    assert len(found) == 2


def labelled(train: str, test: str) -> tuple[MultiviewDataset, dict[str, Any]]:
    """Return one language of documents with one-letter labels, and θ that tells them apart."""
    given = ["" if label == "-" else label for label in train + test]
    dataset = MultiviewDataset.from_lists(
        {"en": ["oak elm fir"] * len(given)},
        partition=["train"] * len(train) + ["test"] * len(test),
        labels=given,
    )
    theta = np.array([[0.9 if label == known else 0.05 for known in "xyz"] for label in given])
    theta /= theta.sum(axis=1, keepdims=True)
    keys = "topic-document-matrix/en", "test-topic-document-matrix/en"
    return dataset, dict(zip(keys, (theta[: len(train)].T, theta[len(train) :].T), strict=True))


def test_a_label_that_nobody_has_or_was_given_is_not_scored() -> None:
    dataset, output = labelled("xyzxyz", "xyxy")
    metric = CrosslingualClassification(dataset, "en", "en", score_by="macro-f1")
    assert metric.score(output) == 1.0
    assert metric.per_item(output).tolist() == [1.0, 1.0]


def test_documents_without_a_label_take_no_part() -> None:
    dataset, output = labelled("xy--xyz-", "-xy-x")
    metric = CrosslingualClassification(dataset, "en", "en")
    assert metric.per_item(output).tolist() == [1.0, 1.0, 1.0]
    assert applicable(dataset, output, metrics=["classification"])
    unlabelled, output = labelled("xyxy", "---")
    with pytest.raises(DataError, match="no document of 'en' in the test partition has a label"):
        CrosslingualClassification(unlabelled, "en", "en")
    assert not applicable(unlabelled, output, metrics=["classification"])


def test_too_few_training_documents_for_two_labels() -> None:
    dataset, _ = labelled("xyzxyz", "xyxy")
    with pytest.raises(DataError, match="the 1 training documents of 'en' all have the label"):
        CrosslingualClassification(dataset, "en", "en", training_documents=1)
