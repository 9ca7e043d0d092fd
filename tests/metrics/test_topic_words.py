"""Metrics of one view's topics: uniqueness and NPMI against loops, NPMI as OCTIS's Coherence."""

import math
from itertools import chain
from typing import Any

import numpy as np
import pytest
from gensim.corpora.dictionary import Dictionary
from gensim.models import CoherenceModel
from hypothesis import given, settings
from hypothesis import strategies as st
from octis.evaluation_metrics.coherence_metrics import Coherence
from scipy.sparse import csr_array

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import TextView
from octis_m3l.errors import DataError
from octis_m3l.metrics import NPMI, DocumentNPMI, TopicUniqueness, windows
from octis_m3l.metrics.npmi import document_npmi

from .contract import MetricContract
from .planted import TOPICS, Data, Output, in_words


class TestTopicUniqueness(MetricContract):
    metric = TopicUniqueness


class TestDocumentNPMI(MetricContract):
    metric = DocumentNPMI


class TestNPMI(MetricContract):
    metric = NPMI


def slow_uniqueness(topics: list[list[str]]) -> list[float]:
    return [
        sum(1 / sum(word in other for other in topics) for word in topic) / len(topic)
        for topic in topics
    ]


def slow_npmi(topics: list[list[str]], documents: list[set[str]]) -> list[float]:
    scores = []
    for topic in topics:
        values = []
        for i, first in enumerate(topic):
            for second in topic[i + 1 :]:
                one = two = both = 0
                for document in documents:
                    one += first in document
                    two += second in document
                    both += first in document and second in document
                if both in (0, len(documents)):
                    values.append(1.0 if both else -1.0)
                else:
                    joint = both / len(documents)
                    apart = one / len(documents) * two / len(documents)
                    values.append(math.log(joint / apart) / -math.log(joint))
        scores.append(sum(values) / len(values))
    return scores


@pytest.mark.parametrize("topk", [1, 2, 5, 10, 12])
def test_uniqueness_and_document_npmi_equal_loops(dataset: Data, output: Output, topk: int) -> None:
    view = dataset.text_view("de")
    topics = [topic[:topk] for topic in in_words(dataset, output, "de")]
    items = TopicUniqueness(dataset, "de", topk).per_item(output)
    np.testing.assert_allclose(items, slow_uniqueness(topics), rtol=1e-12)
    if topk > 1:
        documents = [set(document) for document in view.documents(view.rows("train"))]
        items = DocumentNPMI(dataset, "de", topk).per_item(output)
        np.testing.assert_allclose(items, slow_npmi(topics, documents), atol=1e-12)
    assert items.shape == (TOPICS,)
    assert TopicUniqueness(dataset).score(output) == TopicUniqueness(dataset, "en").score(output)


@pytest.mark.parametrize("measure", ["c_npmi", "c_v", "c_uci", "u_mass"])
@pytest.mark.parametrize("view", ["en", "de"])
def test_npmi_is_octis_coherence_and_reads_the_corpus_once(
    dataset: Data, output: Output, view: str, measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, documents, read = dataset.text_view(view), TextView.documents, []
    texts = corpus.documents(corpus.rows("train"))

    def count(view: TextView, rows: slice) -> list[list[str]]:
        read.append(rows)
        return documents(view, rows)

    monkeypatch.setattr(TextView, "documents", count)
    metric = NPMI(dataset, view, topk=10, measure=measure)
    assert read == []
    octis = Coherence(texts=texts, topk=10, measure=measure)
    topics = [topic[:10] for topic in in_words(dataset, output, view)]
    expected = float(octis.score({"topics": topics}))
    if measure == "c_npmi":
        # Counted by this package, so that sums are in another order.
        assert metric.score(output) == pytest.approx(expected, abs=1e-12)
    else:
        assert metric.score(output) == expected
    assert metric.per_item(output).shape == (TOPICS,)
    assert read == ([] if measure == "c_npmi" else [corpus.rows("train")])


@settings(max_examples=60, deadline=None)
@given(
    documents=st.lists(st.lists(st.integers(0, 5), max_size=40), min_size=1, max_size=12),
    at_once=st.sampled_from([1, 30, 100_000]),
)
def test_windows_are_counted_as_by_gensim(documents: list[list[int]], at_once: int) -> None:
    documents = [[0, 1, 2, 3], *documents]
    held_out = [4, 5] * 9
    lengths = [len(document) for document in (*documents, held_out)]
    view = TextView(
        name="en",
        sizes=(len(documents), 0, 1),
        vocabulary=tuple("abcdef"),
        token_ids=np.array([*chain(*documents, held_out)], np.int32),
        offsets=np.cumsum([0, *lengths]),
    )
    topics = [[0, 1, 2], [3, 0, 4], [1, 2, 5]]
    texts = [["abcdef"[word] for word in document] for document in documents]
    expected = CoherenceModel(
        topics=[["abcdef"[word] for word in topic] for topic in topics],
        texts=texts,
        dictionary=Dictionary(texts),
        coherence="c_npmi",
        processes=1,
    ).get_coherence_per_topic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "_TOKENS_AT_ONCE", at_once)
        items = NPMI(MultiviewDataset([view]), topk=3).per_item({"topics/en": np.array(topics)})
    np.testing.assert_allclose(items, expected, atol=1e-12)


def test_a_topic_of_unseen_words_is_named() -> None:
    view = TextView(
        name="en",
        sizes=(2, 0, 1),
        vocabulary=("a", "b", "c", "d"),
        token_ids=np.array([0, 1, 1, 0, 2, 3], dtype=np.int32),
        offsets=np.array([0, 2, 4, 6]),
    )
    metric = NPMI(MultiviewDataset([view]), topk=2)
    with pytest.raises(DataError, match=r"topic 1 of 'en' \(c, d\): fewer than two of its words"):
        metric.score({"topics/en": np.array([[0, 1], [2, 3]])})


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([[1, 0], [0, 1]], -1.0),
        ([[1, 0], [1, 0]], -1.0),
        ([[0, 0], [0, 0]], -1.0),
        ([[2, 1], [1, 3]], 1.0),
        ([[1, 1], [0, 0]], 1.0),
        ([[1, 1], [1, 0], [0, 1], [0, 0]], 0.0),
    ],
)
def test_every_pair_has_an_npmi(counts: Any, expected: float) -> None:
    bag = csr_array(np.array(counts, dtype=np.float32))
    assert document_npmi(np.array([[0, 1]]), bag) == pytest.approx(expected, abs=1e-15)


def test_document_npmi_needs_documents_and_takes_no_stored_zero_for_a_word() -> None:
    stored = np.array([1, 0, 1, 1], np.float32), np.array([0, 1, 0, 1]), np.array([0, 2, 4])
    bag = csr_array(stored, shape=(2, 2))
    assert document_npmi(np.array([[0, 1]]), bag) == pytest.approx(0.0)
    assert bag.nnz == 4
    with pytest.raises(DataError, match="there is no document to count words in"):
        document_npmi(np.array([[0, 1]]), csr_array(np.zeros((0, 2), np.float32)))


def test_a_large_vocabulary_stays_sparse() -> None:
    words = np.arange(20) * 50_000
    ones, offsets = np.ones(10_000, np.float32), np.arange(0, 10_001, 20)
    bag = csr_array((ones, np.tile(words, 500), offsets), shape=(500, 1_000_000))
    assert document_npmi(words.reshape(2, 10), bag).tolist() == [1.0, 1.0]
