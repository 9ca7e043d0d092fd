"""NPMI is OCTIS's Coherence, on any view."""

from typing import Any

import numpy as np
import pytest
from octis.evaluation_metrics.coherence_metrics import Coherence

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import TextView
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import NPMI

from .contract import MetricContract
from .planted import TOPICS


class TestNPMI(MetricContract):
    metric = NPMI


def words(dataset: MultiviewDataset, output: dict[str, Any], view: str) -> list[list[str]]:
    vocabulary = dataset.text_view(view).vocabulary
    return [[vocabulary[word] for word in topic] for topic in output[f"topics/{view}"]]


@pytest.mark.parametrize("measure", ["c_npmi", "c_v", "c_uci", "u_mass"])
@pytest.mark.parametrize("view", ["en", "de"])
def test_equals_octis(
    dataset: MultiviewDataset, output: dict[str, Any], view: str, measure: str
) -> None:
    corpus = dataset.text_view(view)
    texts = corpus.documents(corpus.rows("train"))
    topics = words(dataset, output, view)
    metric = NPMI(dataset, view, topk=10, measure=measure)
    octis = Coherence(texts=texts, topk=10, measure=measure)
    assert metric.score(output) == float(octis.score({"topics": [t[:10] for t in topics]}))
    assert metric.per_item(output).shape == (TOPICS,)


def test_the_corpus_is_read_once(
    dataset: MultiviewDataset, output: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    documents = TextView.documents

    def count(view: TextView, rows: slice) -> list[list[str]]:
        read.append(rows)
        return documents(view, rows)

    monkeypatch.setattr(TextView, "documents", count)
    metric = NPMI(dataset)
    assert read == []
    metric.score(output)
    metric.score(output)
    assert read == [dataset.view("en").rows("train")]


def test_refuses_an_unknown_measure(dataset: MultiviewDataset) -> None:
    with pytest.raises(SettingsError, match=r"measure 'c_nmpi'\. Did you mean 'c_npmi'\?"):
        NPMI(dataset, measure="c_nmpi")


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
