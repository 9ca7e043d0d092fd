"""What is wrong with an argument or an output is said in one sentence, with how to mend it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from octis.dataset.dataset import Dataset
from octis.evaluation_metrics.diversity_metrics import TopicDiversity

from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import (
    CNPMI,
    JSD,
    MRR,
    NPMI,
    UAP,
    DocumentNPMI,
    OnView,
    OverViews,
    TopicQuality,
    TopicUniqueness,
    score_all,
)
from octis_m3l.metrics import CrosslingualClassification as Classification
from octis_m3l.metrics.outputs import document_topics, top_words

from .planted import TEST, Data, Output, in_words, unlinked

WRONG_DATA: list[tuple[Any, str]] = [
    (lambda d: TopicUniqueness(d, "image"), "view 'image' holds images and has no words"),
    (lambda d: TopicUniqueness(d, view=["en"]), r"text_view: name=\['en'\]: it should be"),
    (lambda d: NPMI(d, view=0), "text_view: name=0: it should be"),
    (lambda d: MRR(d, ["en"], "de"), r"tuples: name=\['en'\]: it should be"),
    (lambda d: JSD(d, "en", None), "tuples: name=None: it should be"),
    (lambda d: OverViews(None), "OverViews needs a MultiviewDataset, given None"),
    (lambda d: OverViews(MRR), "OverViews needs a MultiviewDataset, given the class MRR"),
    (lambda d: OverViews(5), "OverViews needs a MultiviewDataset, given int"),
    (
        lambda d: OverViews(Dataset()),
        r".*given OCTIS's Dataset; make it one: MultiviewDataset.from_octis\(",
    ),
    (lambda d: MRR(unlinked(d), "en", "de"), "no item of 'en' is linked to an item of 'de' in the"),
    (lambda d: JSD(unlinked(d), "en", "de"), "no item of 'en' is linked to an item of 'de' in the"),
    (lambda d: CNPMI(unlinked(d), "en", "de"), r"no tuple of the reference corpus \(auto\) has"),
    (lambda d: Classification(d, "en", "image"), "view 'image' has no labels; build the data set"),
]
WRONG_SETTINGS: list[tuple[Any, str]] = [
    (lambda d: MRR(d, "de", "de"), "query and target are both 'de'; name two different views"),
    (lambda d: UAP(d, "de", "de"), "query and target are both 'de'; name two different views"),
    (lambda d: JSD(d, "de", "de"), "first and second are both 'de'; name two different views"),
    (lambda d: CNPMI(d, "en", "en"), "first and second are both 'en'"),
    (lambda d: CNPMI(d, "en", "de", 2, None, "en", "en"), "corpus_first and corpus_second are"),
    (lambda d: OverViews(d, "mmr"), r"unknown metric 'mmr'\. Did you mean 'mrr'\?"),
    (lambda d: OverViews(d, MRR), "unknown metric"),
    (lambda d: OverViews(d, "mrr", "tset"), r"unknown partition 'tset'\. Did you mean 'test'\?"),
    (lambda d: MRR(d, "en", "de", ["test"]), "unknown partition"),
    (lambda d: NPMI(d, measure=["c_npmi"]), "unknown measure"),
    (lambda d: NPMI(d, measure="c_nmpi"), r"unknown measure 'c_nmpi'\. Did you mean 'c_npmi'\?"),
    (lambda d: CNPMI(d, "en", "de", counting=1), "unknown option '1'"),
    (lambda d: CNPMI(d, "en", "de", counting="token"), "unknown option 'token'. Did you mean 'tok"),
    (lambda d: CNPMI(d, "en", "de", documents="heldout"), ".*'heldout'. Did you mean 'held-out'"),
    (lambda d: Classification(d, "en", "de", kernel="RBF"), "unknown option 'RBF'. Known: linear,"),
    (lambda d: Classification(d, "en", "de", kernel=["rbf"]), "unknown option"),
    (lambda d: Classification(d, "en", "de", training_documents=-1), "training_documents=-1: expe"),
    (lambda d: Classification(d, "en", "de", training_documents="5"), "training_documents='5': ex"),
    (lambda d: TopicUniqueness(d, topk=0), "topk=0: expected a whole number, 1 or more"),
    (lambda d: NPMI(d, topk=2.5), "topk=2.5: expected a whole number"),
    (lambda d: DocumentNPMI(d, topk=True), "topk=True: expected a whole number"),
    (lambda d: DocumentNPMI(d, topk=1), "topk=1: expected a whole number, 2 or more"),
    (lambda d: CNPMI(d, "en", "de", topk=None), "topk=None: expected a whole number"),
    (lambda d: OverViews(d, "tu", topk=[5]), r"topk=\[5\]: expected a whole number"),
    (lambda d: TopicQuality(d, "en", "de", topk="10"), "topk='10'"),
]


@pytest.mark.parametrize(("make", "message"), WRONG_DATA + WRONG_SETTINGS)
def test_wrong_arguments(dataset: Data, make: Any, message: str) -> None:
    error = DataError if (make, message) in WRONG_DATA else SettingsError
    with pytest.raises(error, match=f"^{message}") as refused:
        make(dataset)
    assert "\n" not in str(refused.value)
    given: Any = np.int64(3)
    assert type(TopicUniqueness(dataset, topk=given).topk) is int


def shaped(rows: int, items: int) -> Any:
    return np.full((rows, items), 1 / rows)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "is no array of numbers"),
        ([[1, 2], [3]], "is no array of numbers"),
        (np.full((5, 11), "a"), "is no array of numbers"),
        (3.0, r"has shape \(\); expected \(topics, 11\)"),
        (shaped(11, 5), r"has shape \(11, 5\); expected \(topics, 11\)"),
        (
            shaped(5, 8),
            r"^the output's 'test-topic-document-matrix/en' has shape \(5, 8\); expected \(topics, "
            r"11\): a column for each item of 'en' in the test partition. Score it on the dataset "
            "that the model was trained on, with the same partitions.$",
        ),
        (np.zeros((5, 11)), "item 0 sums to 0; expected 1"),
        (np.log(shaped(5, 11)), f"the output's '{TEST}/en': item 0 has a negative value"),
        (shaped(7, 11), "have 7 topics, the second 5; compare items of one model"),
    ],
)
def test_wrong_proportions_of_topics(
    dataset: Data, output: Output, value: Any, message: str
) -> None:
    output[f"{TEST}/en"] = value
    with pytest.raises(DataError, match=message):
        MRR(dataset, "en", "de").score(output)


def test_a_missing_partition_is_named(dataset: Data, output: Output) -> None:
    known = {f"{key}/en": output[f"{key}/en"] for key in ("topics", "topic-document-matrix")}
    with pytest.raises(DataError) as caught:
        document_topics(known, dataset, "en", "test")
    assert str(caught.value) == (
        "the output has no 'test-topic-document-matrix/en'; it has: topic-document-matrix/en, "
        "topics/en. To fix this, train the model on this view and with partitions "
        "(use_partitions=True)."
    )


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        (None, "is no array of word indices"),
        ([["a", "b"]], "is no array of word indices"),
        ([[1, 2], [3]], "is no array of word indices"),
        (np.zeros((2, 3)), r"has shape \(2, 3\) and type float64; expected \(topics, words\)"),
        (np.arange(3), r"has shape \(3,\) and type int64"),
        (np.zeros((0, 3), dtype=int), r"has shape \(0, 3\)"),
        (np.array([[0, 1]]), "has 2 words a topic, topk is 3; train with top_words=3 or more"),
        (
            np.array([[0, 1, 99]]),
            "has word indices from 0 to 99; the vocabulary of 'en' has 30 words",
        ),
        (np.array([[0, 1, -1]]), "has word indices from -1 to 1"),
        (np.array([[0, 1, 2], [3, 4, 3]]), "has a word twice in topic 1"),
    ],
)
def test_wrong_topics(dataset: Data, topics: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"^the output's 'topics/en' {message}"):
        TopicUniqueness(dataset, "en", 3).score({"topics/en": topics})


def test_views_of_two_models(dataset: Data, output: Output) -> None:
    output["topics/en"] = output["topics/en"][:3]
    with pytest.raises(DataError, match="'en' has 3 topics, 'de' 5; topics are compared one by"):
        CNPMI(dataset, "en", "de").score(output)
    output[f"{TEST}/de"] = shaped(7, 12)
    with pytest.raises(DataError, match="'en' has 5 topics, 'de' 7; compare items of one model"):
        Classification(dataset, "en", "de").score(output)


@pytest.mark.parametrize("given", [None, [1]])
def test_what_is_no_output(dataset: Data, given: Any) -> None:
    on_view = OnView(TopicDiversity(), "en", dataset)
    for metric in (MRR(dataset, "en", "de"), TopicUniqueness(dataset), on_view):
        with pytest.raises(DataError, match=r"the output is a .*; expected what train_model"):
            metric.score(given)


def test_a_stored_output_scores_the_same(dataset: Data, output: Output, tmp_path: Path) -> None:
    np.savez(tmp_path / "output.npz", **output)
    with np.load(tmp_path / "output.npz") as stored:
        for metric in (MRR(dataset, "en", "de"), TopicUniqueness(dataset)):
            assert metric.score(stored) == metric.score(output)


def test_outputs_of_one_view_are_scored_as_they_are(dataset: Data, output: Output) -> None:
    plain = {
        "topics": in_words(dataset, output, "de"),
        "topic-document-matrix": output["topic-document-matrix/de"],
        TEST: output[f"{TEST}/de"],
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
