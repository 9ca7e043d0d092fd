"""Cross-lingual classification against scikit-learn used by hand."""

from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score
from sklearn.svm import SVC

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.metrics import CrosslingualClassification, applicable

from .contract import MetricContract
from .planted import TEST, TOPICS, Data, Output

TRAIN = "topic-document-matrix"
F1: dict[str, Any] = {"score_by": "macro-f1"}


class TestAccuracy(MetricContract):
    metric = CrosslingualClassification
    arguments: ClassVar = {"first": "en", "second": "de"}


class TestMacroF1(MetricContract):
    metric = CrosslingualClassification
    arguments: ClassVar = {"first": "en", "second": "de", **F1}


def labels(dataset: Data, view: str, partition: str) -> list[str]:
    return list(dataset.view(view).labels or [])[dataset.view(view).rows(partition)]


@pytest.fixture
def telling(dataset: Data, output: Output) -> Output:
    """An output whose θ says the label, alike in both languages, with some noise."""
    random = np.random.default_rng(0)
    for view in ("en", "de"):
        for partition, key in (("train", TRAIN), ("test", TEST)):
            number = [int(label[-1]) for label in labels(dataset, view, partition)]
            theta = random.dirichlet(np.ones(TOPICS), len(number)) + 1.5 * np.eye(TOPICS)[number]
            output[f"{key}/{view}"] = (theta / theta.sum(axis=1, keepdims=True)).T
    return output


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("features", ["theta", "log-ratio"])
@pytest.mark.parametrize("pair", [("en", "de"), ("de", "de")])
def test_is_an_svm_of_scikit_learn(
    kernel: str, features: str, pair: tuple[str, str], dataset: Data, telling: Output
) -> None:
    first, second = pair
    train, test = telling[f"{TRAIN}/{first}"].T, telling[f"{TEST}/{second}"].T
    if features == "log-ratio":
        train, test = (np.log(m) - np.log(m).mean(axis=1, keepdims=True) for m in (train, test))
    said = SVC(kernel=kernel).fit(train, labels(dataset, first, "train")).predict(test)
    asked = labels(dataset, second, "test")
    given: dict[str, Any] = {"kernel": kernel, "features": features}
    accuracy = CrosslingualClassification(dataset, *pair, **given)
    assert accuracy.score(telling) == pytest.approx(accuracy_score(asked, said))
    assert accuracy.score(telling) > accuracy.chance() + 0.2
    f1 = CrosslingualClassification(dataset, *pair, **F1, **given)
    assert f1.score(telling) == pytest.approx(f1_score(asked, said, average="macro"))


def test_chance_is_the_commonest_training_label(dataset: Data) -> None:
    learned, asked = labels(dataset, "de", "train"), labels(dataset, "en", "test")
    said = [max(sorted(set(learned)), key=learned.count)] * len(asked)
    accuracy = CrosslingualClassification(dataset, "de", "en")
    assert accuracy.chance() == pytest.approx(accuracy_score(asked, said))
    f1 = CrosslingualClassification(dataset, "de", "en", **F1)
    assert f1.chance() == pytest.approx(f1_score(asked, said, average="macro", zero_division=0))


def test_same_training_documents_each_time_and_another_output_is_another_classifier(
    dataset: Data, telling: Output
) -> None:
    few = [CrosslingualClassification(dataset, "en", "de", training_documents=9) for _ in range(2)]
    assert few[0].score(telling) == few[1].score(telling)
    whole = CrosslingualClassification(dataset, "en", "de", training_documents=0)
    assert len(few[0]._training_labels) == 9
    assert len(whole._training_labels) == dataset.view("en").sizes[0]
    before = whole.score(telling)
    turned = {**telling, f"{TRAIN}/en": telling[f"{TRAIN}/en"][::-1]}
    assert whole.score(turned) < before
    assert whole.score(telling) == before


def test_applies_to_the_four_cells_of_views_with_labels(dataset: Data, output: Output) -> None:
    names = ["classification", "classification-f1"]
    found = applicable(dataset, output, metrics=names)
    assert [list(found[name]) for name in names] == [["en-en", "en-de", "de-en", "de-de"]] * 2


# One-letter labels: "-" stands for a document without one.


def labelled(train: str, test: str) -> tuple[Data, Output]:
    """Return documents of two languages with these labels, and θ that tells them apart."""
    given = ["" if label == "-" else label for label in train + test]
    texts = {view: [f"{view}oak {view}elm"] * len(given) for view in ("en", "de")}
    dataset = MultiviewDataset.from_lists(
        texts,
        partition=["train"] * len(train) + ["test"] * len(test),
        labels=given,
        languages=dict.fromkeys(texts),
    )
    theta = np.array([[0.9 if label == known else 0.05 for known in "xyz"] for label in given])
    theta /= theta.sum(axis=1, keepdims=True)
    parts = {TRAIN: theta[: len(train)].T, TEST: theta[len(train) :].T}
    return dataset, {f"{key}/en": part for key, part in parts.items()}


def test_documents_without_a_label_and_labels_of_nobody_take_no_part() -> None:
    dataset, output = labelled("xyzxyz", "xyxy")
    metric = CrosslingualClassification(dataset, "en", "en", **F1)
    assert metric.score(output) == 1.0
    assert metric.per_item(output).tolist() == [1.0, 1.0]
    dataset, output = labelled("xy--xyz-", "-xy-x")
    metric = CrosslingualClassification(dataset, "en", "en")
    assert metric.per_item(output).tolist() == [1.0, 1.0, 1.0]
    assert applicable(dataset, output, metrics=["classification"])
    assert not applicable(*labelled("xyxy", "---"), metrics=["classification"])


@pytest.mark.parametrize(
    ("train", "test", "options", "message"),
    [
        ("xyxy", "---", {}, "no document of 'de' in the test partition has a label"),
        ("xxxx", "xx", {}, "training documents of 'en' all have the label 'x'"),
        ("xyxy", "zz", {}, r"no label of 'de' \(z\) is one of 'en' \(x, y\)"),
        ("xyzxyz", "xyxy", {"training_documents": 1}, "the 1 training documents of 'en' all have"),
    ],
)
def test_labels_that_tell_nothing_are_refused(
    train: str, test: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        CrosslingualClassification(labelled(train, test)[0], "en", "de", **options)
