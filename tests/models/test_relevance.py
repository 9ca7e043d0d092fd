"""Topics estimated from documents and ranked by relevance, beside a loop over every word."""

import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from planted import Planted, holds_for_most_seeds, planted
from safetensors.numpy import load_file
from scipy.sparse import csr_array

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import SettingsError
from octis_m3l.models import M3LContrast, ZeroshotTM, ZeroshotTMKD, load_model
from octis_m3l.models.relevance import (
    by_relevance,
    chosen_relevance,
    expected_counts,
    topics_of_documents,
)

from .contract import (
    TOP_WORDS,
    assert_distributions,
    assert_same,
    leading_topics,
    refused,
    with_few_items,
)
from .contract.helpers import watched_losses

SMALL: dict[str, Any] = {
    "num_topics": 4,
    "epochs": 2,
    "batch_size": 16,
    "hidden_size": 12,
    "topic_form": "documents",
}
Numbers = NDArray[np.float64]


def drawn(seed: int, documents: int = 30, words: int = 17, topics: int = 4) -> tuple[Any, Any]:
    """Return counts, without words in document 3 and without word 5 anywhere, and θ."""
    random = np.random.default_rng(seed)
    counts = random.poisson(0.7, size=(documents, words)).astype(np.float32)
    counts[3], counts[:, 5] = 0, 0
    return counts, random.dirichlet(np.full(topics, 0.3), size=documents).astype(np.float32)


def counted_one_by_one(counts: Any, theta: Any) -> Numbers:
    """Return the expected numbers of documents (K × vocabulary), by loops."""
    documents, words = counts.shape
    topics = theta.shape[1]
    first = np.zeros((topics, words))
    for d in range(documents):
        for w in range(words):
            for k in range(topics):
                first[k, w] += float(theta[d, k]) * (counts[d, w] > 0)
    phi = [[float(value) / sum(row.tolist()) for value in row] for row in first]
    expected = np.zeros((topics, words))
    for d in range(documents):
        for w in range(words):
            mixed = sum(float(theta[d, j]) * phi[j][w] for j in range(topics))
            for k in range(topics):
                if counts[d, w]:
                    expected[k, w] += float(theta[d, k]) * phi[k][w] / mixed
    return expected


def ranked_one_by_one(counts: Any, expected: Numbers, relevance: float) -> list[list[float]]:
    """Return the distributions of words, 0 for words that no document has, by loops."""
    has = [sum(1 for count in column if count) for column in counts.T.tolist()]
    rows = []
    for row in expected:
        scores = []
        for of_word, documents in zip(row.tolist(), has, strict=True):
            p = documents / sum(has)
            phi = (of_word + 50 * p) / (float(row.sum()) + 50)
            logs = p and relevance * math.log(phi) + (1 - relevance) * math.log(phi / p)
            scores.append(math.exp(logs) if p else 0.0)
        rows.append([score / sum(scores) for score in scores])
    return rows


@pytest.mark.parametrize("documents", [1, 4, 2**14])
@pytest.mark.parametrize("at_once", [1, 13, 2**18])
@pytest.mark.parametrize("seed", range(3))
def test_expected_counts_are_those_of_the_loop(
    seed: int, at_once: int, documents: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("octis_m3l.models.relevance._DOCUMENTS_AT_ONCE", documents)
    counts, theta = drawn(seed)
    found = expected_counts(csr_array(counts), theta, at_once=at_once)
    np.testing.assert_allclose(found, counted_one_by_one(counts, theta), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=0), (counts > 0).sum(axis=0), rtol=1e-9)
    assert (counts > 1).any()


def test_needs_no_memory_for_all_words_of_all_documents_times_topics() -> None:
    counts, theta = drawn(0, documents=600, words=60, topics=50)
    sparse = csr_array(counts)
    whole = 8 * sparse.nnz * theta.shape[1]
    peaks = []
    for at_once in (10**9, 5000):
        tracemalloc.start()
        expected_counts(sparse, theta, at_once=at_once)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 2 * whole
    assert peaks[1] < whole / 4


@pytest.mark.parametrize("relevance", [0.05, 0.6, 1.0])
def test_topics_are_ranked_as_by_the_loop(relevance: float) -> None:
    counts, theta = drawn(1)
    (found,) = topics_of_documents({"en": csr_array(counts)}, {"en": theta}, relevance).values()
    expected = ranked_one_by_one(counts, counted_one_by_one(counts, theta), relevance)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.astype(float).sum(axis=1), 1, atol=1e-6)
    # A word that no document has is the last, but not impossible.
    assert (found.argmin(axis=1) == 5).all()
    assert (found > 0).all()
    found[:, 5] = 0
    np.testing.assert_allclose(found / found.sum(axis=1, keepdims=True), expected, rtol=1e-4)


def test_a_topic_that_no_document_has_is_the_background() -> None:
    counts, theta = drawn(2)
    theta = np.insert(theta, 0, 0, axis=1)
    found = topics_of_documents({"en": csr_array(counts)}, {"en": theta}, 1.0)["en"]
    has = (counts > 0).sum(axis=0)
    np.testing.assert_allclose(found[0], has / has.sum(), atol=1e-6)
    assert found[0].argmin() == 5


def test_views_without_words_are_left_out() -> None:
    counts, theta = drawn(2)
    views = {"en": csr_array(counts), "de": csr_array((0, 9)), "fi": csr_array((2, 9))}
    of_views = {"en": theta, "de": theta[:0], "fi": theta[:2]}
    for relevance in (0.0, 0.6):
        assert set(topics_of_documents(views, of_views, relevance)) == {"en"}
    del views["en"]
    assert topics_of_documents(views, of_views, 0.0) == {}


# The chosen λ.


def uniqueness(matrix: Any) -> float:
    """Return the topic uniqueness of ten words, by loops."""
    words = [sorted(range(len(row)), key=lambda w, row=row: -row[w])[:10] for row in matrix]
    every = [word for topic in words for word in topic]
    return float(np.mean([1 / every.count(word) for word in every]))


def with_background(seed: int, often: float) -> Numbers:
    """Return the expected counts of five topics with words of their own, and common words."""
    random = np.random.default_rng(seed)
    expected = random.gamma(0.05, 20, size=(5, 200))
    expected[:, :15] += often * random.uniform(1, 3, size=15)
    return expected


@pytest.mark.parametrize("seed", range(4))
def test_the_largest_relevance_that_makes_topics_distinct_is_chosen(seed: int) -> None:
    expected = {"en": with_background(seed, 40), "de": with_background(seed + 50, 25)}
    for of in expected.values():
        chosen = chosen_relevance(of)
        assert 0.3 < chosen < 0.8
        assert uniqueness(by_relevance(of, chosen)) >= 0.8
        assert uniqueness(by_relevance(of, chosen + 0.5 / 2**12)) < 0.8
    # Documents of one word and one topic, as many as are expected.
    counts, theta = {}, {}
    for name, of in expected.items():
        topics, words = np.nonzero(np.rint(of))
        often = np.rint(of[topics, words]).astype(int)
        counts[name] = csr_array(np.eye(200, dtype=np.float32)[np.repeat(words, often)])
        theta[name] = np.eye(5)[np.repeat(topics, often)]
    found = topics_of_documents(counts, theta, 0.0)
    least = topics_of_documents(counts, theta, 1.0)
    for name in expected:
        assert 0.8 <= uniqueness(found[name]) < 0.8 + 0.05
        assert uniqueness(least[name]) < 0.8


def test_relevance_is_the_most_where_that_is_enough_and_least_where_nothing_is() -> None:
    own = np.kron(np.eye(5), np.full(10, 100.0))
    assert uniqueness(by_relevance(own, 1.0)) == 1
    assert chosen_relevance(own) == 0.8
    few = np.random.default_rng(0).gamma(1, 20, size=(5, 12))
    assert chosen_relevance(few) == 0.3


# In models.


@pytest.mark.parametrize("kind", [M3LContrast, ZeroshotTM, ZeroshotTMKD])
@pytest.mark.parametrize("partitions", [True, False])
def test_models_publish_topics_of_their_training_documents(
    kind: Any, partitions: bool, embedded: MultiviewDataset, tmp_path: Path
) -> None:
    model = kind(**SMALL, relevance=0.6)
    model.partitioning(partitions)
    output = model.train_model(embedded, top_words=TOP_WORDS)
    assert_distributions(output)
    languages = ["en"] if kind is ZeroshotTM else ["en", "de"]
    assert output.languages == languages
    for name in languages:
        view, theta = embedded.text_view(name), output.theta(name)
        assert len(theta) == (view.sizes[0] if partitions else len(view))
        counts = view.bag_of_words.toarray()[: len(theta)]
        expected = np.array(ranked_one_by_one(counts, counted_one_by_one(counts, theta), 0.6))
        found = output[f"topic-word-matrix/{name}"]
        seen = counts.any(axis=0)
        np.testing.assert_allclose(found[:, seen], expected[:, seen], rtol=1e-3)
        first = np.argsort(-found, axis=1, kind="stable")[:, :TOP_WORDS]
        np.testing.assert_array_equal(output[f"topics/{name}"], first)
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert_same(loaded.output, output)
    for name in languages:
        assert loaded.topics(name) == model.topics(name)


def test_other_forms_store_what_they_did(embedded: MultiviewDataset, tmp_path: Path) -> None:
    model = M3LContrast(**SMALL | {"topic_form": "beta"})
    model.train_model(embedded, top_words=TOP_WORDS)
    model.save(tmp_path / "model")
    assert not [n for n in load_file(tmp_path / "model/weights.safetensors") if "of_docu" in n]
    same = M3LContrast(**SMALL)
    output = same.train_model(embedded, top_words=TOP_WORDS)
    for key, value in model.output.items():  # type: ignore[union-attr]
        if "/" in key and "document" in key:
            np.testing.assert_array_equal(output[key], value, err_msg=key)


@pytest.mark.filterwarnings("ignore:view 'de' has 0 training item:UserWarning")
@pytest.mark.filterwarnings("ignore:no training item of view 'de':UserWarning")
def test_a_view_without_training_documents_has_the_topics_of_its_decoder(
    embedded: MultiviewDataset,
) -> None:
    few = with_few_items(embedded, "de", 0, 0, 3)
    found, usual = (
        M3LContrast(**SMALL | {"topic_form": form, "standardised": "none"}).train_model(
            few, top_words=TOP_WORDS
        )
        for form in ("documents", "beta")
    )
    key = "topic-word-matrix"
    np.testing.assert_array_equal(found[f"{key}/de"], usual[f"{key}/de"])
    assert not np.allclose(found[f"{key}/en"], usual[f"{key}/en"], rtol=0.1)


def test_an_interrupted_training_resumes_and_relevance_may_change(
    embedded: MultiviewDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = M3LContrast(**SMALL).train_model(embedded, top_words=TOP_WORDS)
    calls = watched_losses(M3LContrast, monkeypatch)
    M3LContrast(**SMALL | {"epochs": 1}).train_model(embedded, top_words=TOP_WORDS)
    epoch = len(calls)
    watched_losses(M3LContrast, monkeypatch, interrupted_at=epoch + 1)
    stopped = M3LContrast(**SMALL, checkpoint=tmp_path)
    with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match="was interrupted"):
        stopped.train_model(embedded, top_words=TOP_WORDS)
    assert_distributions(stopped.output)  # type: ignore[arg-type]
    resumed = M3LContrast(**SMALL, checkpoint=tmp_path)
    assert_same(resumed.train_model(embedded, top_words=TOP_WORDS), expected)
    calls = watched_losses(M3LContrast, monkeypatch)
    other = M3LContrast(**SMALL, relevance=0.4, checkpoint=tmp_path)
    again = other.train_model(embedded, top_words=TOP_WORDS)
    assert not calls
    np.testing.assert_array_equal(again.theta("en"), expected.theta("en"))
    assert not np.array_equal(again["topic-word-matrix"], expected["topic-word-matrix"])


def test_relevance_out_of_range() -> None:
    for given in (-0.1, 1.5):
        refused(SettingsError, f"relevance={given}: it should be", M3LContrast, relevance=given)


@pytest.mark.parametrize("kind", [M3LContrast, ZeroshotTM])
def test_finds_planted_topics(kind: Any) -> None:
    def check(seed: int) -> None:
        data = planted(themes=5, tuples=300, images=False, concentration=0.2, seed=seed)
        own: dict[str, Any] = {"standardised": "own-view"} if kind is ZeroshotTM else {}
        model = kind(
            num_topics=10,
            epochs=20,
            learning_rate=1e-2,
            batch_size=64 if kind is M3LContrast else 32,
            encoder="clsi",
            dimensions=10,
            topic_form="documents",
            seed=seed,
            **own,
        )
        model.train_model(data.dataset)
        learned = {n: words for n, words in data.words.items() if n in model.output.languages}
        leading_topics(model, Planted(data.dataset, learned), at_least=7, on_average=7.5)

    holds_for_most_seeds(check)
