"""What is wrong with an output is said in one sentence, with how to mend it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from octis.evaluation_metrics.diversity_metrics import TopicDiversity

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, OctisM3LError
from octis_m3l.metrics import (
    CNPMI,
    JSD,
    MRR,
    NPMI,
    UAP,
    CrosslingualClassification,
    DocumentNPMI,
    OnView,
    OverViews,
    TopicQuality,
    TopicUniqueness,
    score_all,
)
from octis_m3l.metrics.outputs import document_topics, top_words

THETA = "test-topic-document-matrix/en"


def test_a_stored_output_scores_the_same(
    dataset: MultiviewDataset, output: dict[str, Any], tmp_path: Path
) -> None:
    np.savez(tmp_path / "output.npz", **output)
    with np.load(tmp_path / "output.npz") as stored:
        for metric in (MRR(dataset, "en", "de"), TopicUniqueness(dataset)):
            assert metric.score(stored) == metric.score(output)


def test_a_missing_partition_is_named(dataset: MultiviewDataset, output: dict[str, Any]) -> None:
    known = {"topics/en": output["topics/en"], "topic-document-matrix/en": output[THETA]}
    with pytest.raises(DataError) as caught:
        document_topics(known, dataset, "en", "test")
    assert str(caught.value) == (
        "the output has no 'test-topic-document-matrix/en'; it has: topic-document-matrix/en, "
        "topics/en. To fix this, train the model on this view and with partitions "
        "(use_partitions=True)."
    )


def test_another_number_of_documents_is_named(
    dataset: MultiviewDataset, output: dict[str, Any]
) -> None:
    output[THETA] = output[THETA][:, :-3]
    with pytest.raises(DataError) as caught:
        document_topics(output, dataset, "en", "test")
    assert str(caught.value) == (
        "the output's 'test-topic-document-matrix/en' has shape (5, 8); expected (topics, 11): a "
        "column for each item of 'en' in the test partition. Score it on the dataset that the "
        "model was trained on, with the same partitions."
    )


def test_logits_are_refused(dataset: MultiviewDataset, output: dict[str, Any]) -> None:
    output[THETA] = np.log(output[THETA] + 1e-3)
    with pytest.raises(DataError, match=f"the output's '{THETA}': item 0 has a negative value"):
        MRR(dataset, "en", "de").score(output)


def test_views_of_two_models_are_refused(dataset: MultiviewDataset, output: dict[str, Any]) -> None:
    output[THETA] = np.full((7, 11), 1 / 7)
    with pytest.raises(DataError, match="have 7 topics, the second 5; compare items of one model"):
        MRR(dataset, "en", "de").score(output)


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        (np.zeros((2, 3)), r"has shape \(2, 3\) and type float64; expected \(topics, words\)"),
        (np.arange(3), r"has shape \(3,\) and type int64"),
        (np.zeros((0, 3), dtype=int), r"has shape \(0, 3\)"),
        (np.array([[0, 1]]), "has 2 words a topic, topk is 3; train with top_words=3 or more"),
        (np.array([[0, 1, 99]]), "word indices from 0 to 99; the vocabulary of 'en' has 30 words"),
        (np.array([[0, 1, -1]]), "word indices from -1 to 1"),
        (np.array([[0, 1, 2], [3, 4, 3]]), "has a word twice in topic 1"),
    ],
)
def test_topics_must_be_words(
    dataset: MultiviewDataset, topics: np.ndarray[Any, Any], message: str
) -> None:
    with pytest.raises(DataError, match=f"the output's 'topics/en' {message}|{message}"):
        top_words({"topics/en": topics}, dataset, "en", 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: TopicUniqueness(d, view="image"), "view 'image' holds images and has no words"),
        (lambda d: TopicUniqueness(d, topk=0), "topk=0: expected a whole number, 1 or more"),
        (lambda d: TopicUniqueness(d, topk="2"), "topk='2': expected a whole number"),
        (lambda d: NPMI(d, topk=2.5), "topk=2.5: expected a whole number"),
        (lambda d: DocumentNPMI(d, topk=True), "topk=True: expected a whole number"),
        (lambda d: CNPMI(d, "en", "de", topk=None), "topk=None: expected a whole number"),
        (lambda d: OverViews(d, "tu", topk=[5]), r"topk=\[5\]: expected a whole number"),
        (
            lambda d: TopicUniqueness(d, view=["en"]),
            r"text_view: name=\['en'\]: it should be",
        ),
        (lambda d: NPMI(d, view=0), "text_view: name=0: it should be"),
        (lambda d: NPMI(d, measure=["c_npmi"]), "unknown measure"),
        (lambda d: MRR(d, "en", "de", partition=["test"]), "unknown partition"),
        (lambda d: MRR(d, ["en"], "de"), r"tuples: name=\['en'\]: it should be"),
        (lambda d: UAP(d, "en", {}), "tuples: name={}: it should be"),
        (lambda d: JSD(d, "en", None), "tuples: name=None: it should be"),
        (lambda d: CNPMI(d, "en", "de", counting=1), "unknown option '1'"),
        (lambda d: TopicQuality(d, "en", "de", topk="10"), "topk='10'"),
        (
            lambda d: CrosslingualClassification(d, "en", "de", training_documents="5"),
            "training_documents='5': expected a whole number, 0 or more",
        ),
        (lambda d: CrosslingualClassification(d, "en", "de", kernel=["rbf"]), "unknown option"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(
    dataset: MultiviewDataset, make: Any, message: str
) -> None:
    assert type(TopicUniqueness(dataset, topk=np.int64(3)).topk) is int
    with pytest.raises(OctisM3LError, match=f"^{message}") as refused:
        make(dataset)
    assert "\n" not in str(refused.value)


def test_outputs_of_one_view_are_scored_as_they_are(
    dataset: MultiviewDataset, output: dict[str, Any]
) -> None:
    words = dataset.text_view("de").vocabulary
    plain = {
        "topics": [[words[i] for i in topic] for topic in output["topics/de"]],
        "topic-document-matrix": output["topic-document-matrix/de"],
        "test-topic-document-matrix": output["test-topic-document-matrix/de"],
    }
    np.testing.assert_array_equal(
        top_words(plain, dataset, "de", 5), top_words(output, dataset, "de", 5)
    )
    np.testing.assert_array_equal(
        document_topics(plain, dataset, "de", "test"),
        document_topics(output, dataset, "de", "test"),
    )
    diversity = OnView(TopicDiversity(topk=5), "de", dataset)
    assert diversity.score(plain) == diversity.score(output)
    with pytest.raises(DataError, match=r"hold the word .*, which view 'en' does not know"):
        top_words(plain, dataset, "en", 5)
    with pytest.raises(DataError, match="the output names no view of the data set: it is of one"):
        score_all(dataset, plain)
