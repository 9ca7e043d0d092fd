"""Document NPMI against a triple loop over topics, pairs and documents."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import DocumentNPMI
from octis_m3l.metrics.document_npmi import document_npmi

from .contract import MetricContract
from .planted import TOPICS


class TestDocumentNPMI(MetricContract):
    metric = DocumentNPMI


def slow(topics: list[list[str]], documents: list[set[str]]) -> list[float]:
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
                if both == 0:
                    values.append(-1.0)
                elif both == len(documents):
                    values.append(1.0)
                else:
                    joint = both / len(documents)
                    apart = one / len(documents) * two / len(documents)
                    values.append(math.log(joint / apart) / -math.log(joint))
        scores.append(sum(values) / len(values))
    return scores


@pytest.mark.parametrize("topk", [2, 5, 12])
def test_equals_a_triple_loop_over_training_documents(
    dataset: MultiviewDataset, output: dict[str, Any], topk: int
) -> None:
    view = dataset.text_view("de")
    documents = [set(document) for document in view.documents(view.rows("train"))]
    topics = [[view.vocabulary[w] for w in topic[:topk]] for topic in output["topics/de"]]
    items = DocumentNPMI(dataset, "de", topk).per_item(output)
    np.testing.assert_allclose(items, slow(topics, documents), atol=1e-12)
    assert items.shape == (TOPICS,)


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
def test_every_pair_has_an_answer(counts: list[list[int]], expected: float) -> None:
    bag = csr_array(np.array(counts, dtype=np.float32))
    assert document_npmi(np.array([[0, 1]]), bag) == pytest.approx(expected, abs=1e-15)


def test_stored_zeros_are_no_words() -> None:
    bag = csr_array(
        (np.array([1, 0, 1, 1], dtype=np.float32), np.array([0, 1, 0, 1]), np.array([0, 2, 4])),
        shape=(2, 2),
    )
    assert document_npmi(np.array([[0, 1]]), bag) == pytest.approx(0.0)
    assert bag.nnz == 4


def test_a_large_vocabulary_stays_sparse() -> None:
    words = 1_000_000
    columns = np.tile(np.arange(20), 500)
    bag = csr_array(
        (np.ones(len(columns), np.float32), columns * (words // 20), np.arange(0, 10_001, 20)),
        shape=(500, words),
    )
    topics = (np.arange(20) * (words // 20)).reshape(2, 10)
    assert document_npmi(topics, bag).tolist() == [1.0, 1.0]


def test_needs_documents_and_pairs(dataset: MultiviewDataset) -> None:
    with pytest.raises(DataError, match="there is no document to count words in"):
        document_npmi(np.array([[0, 1]]), csr_array(np.zeros((0, 2), np.float32)))
    with pytest.raises(SettingsError, match="topk=1: expected a whole number, 2 or more"):
        DocumentNPMI(dataset, topk=1)
