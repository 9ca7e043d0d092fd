"""CNPMI against loops over documents, words and topics."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csc_array

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.metrics import CNPMI, TopicQuality, TopicUniqueness, applicable, score_all
from octis_m3l.metrics.cnpmi import cross_lingual_npmi

from .contract import MetricContract
from .planted import Data, Output, unlinked

PAIR = {"first": "en", "second": "de"}


class TestCNPMI(MetricContract):
    metric = CNPMI
    arguments = PAIR


class TestTopicQuality(MetricContract):
    metric = TopicQuality
    arguments = PAIR


def of_texts(texts: dict[str, Any]) -> Data:
    return MultiviewDataset.from_lists(texts, languages=dict.fromkeys(texts))


def slow_pair(a: int, b: int, one: NDArray[Any], other: NDArray[Any], counting: str) -> float:
    documents = len(one)
    if a < 0 or b < 0:
        return 0.0
    both = sum(x[a] > 0 and y[b] > 0 for x, y in zip(one, other, strict=True)) / documents
    if both in (0, 1):
        return both
    if counting == "documents":
        pa = sum(row[a] > 0 for row in one) / documents
        pb = sum(row[b] > 0 for row in other) / documents
    else:
        pa, pb = one[:, a].sum() / documents, other[:, b].sum() / documents
    return math.log(both / (pa * pb)) / -math.log(both)


def slow(
    first: NDArray[Any], second: NDArray[Any], one: NDArray[Any], other: NDArray[Any], counting: str
) -> list[float]:
    scores = []
    for topic, translated in zip(first, second, strict=True):
        values = [slow_pair(a, b, one, other, counting) for a in topic for b in translated]
        scores.append(sum(values) / len(values))
    return scores


@pytest.mark.parametrize("counting", ["documents", "tokens"])
def test_equals_a_loop(counting: str) -> None:
    random = np.random.default_rng(0)
    one, other = random.poisson(0.5, (12, 9)), random.poisson(0.4, (12, 7))
    one[:, 0] = other[:, 0] = 1 + random.integers(0, 2, 12)
    one[:, 1] = 0
    topics = np.array([[0, 1, 2], [3, 4, -1]]), np.array([[0, 1, 2], [-1, 5, 6]])
    found = cross_lingual_npmi(*topics, csc_array(one), csc_array(other), counting=counting)
    np.testing.assert_allclose(found, slow(*topics, one, other, counting), rtol=1e-12)


def test_counts_held_out_tuples_of_both_languages(dataset: Data, output: Output) -> None:
    bags = {n: np.asarray(v.bag_of_words.todense()) for n, v in dataset.text_views.items()}
    english, german = (dataset.view(name).sizes[0] for name in ("en", "de"))
    rows = [
        (e, d)
        for e, te in enumerate(dataset.tuples("en"))
        for d, td in enumerate(dataset.tuples("de"))
        if te == td >= 0 and e >= english and d >= german
    ]
    one, other = bags["en"][[e for e, _ in rows]], bags["de"][[d for _, d in rows]]
    topics = [
        np.where(bag.sum(axis=0) > 0, np.arange(bag.shape[1]), -1)[output[f"topics/{n}"][:, :5]]
        for n, bag in (("en", one), ("de", other))
    ]
    expected = slow(*topics, one, other, "documents")
    for pair in (("en", "de"), ("de", "en")):
        metric = CNPMI(dataset, *pair, 5)
        np.testing.assert_allclose(metric.per_item(output), expected, rtol=1e-9)
        assert metric.coverage(output) == pytest.approx(np.mean([t >= 0 for t in topics]))


def test_a_reference_of_its_own_and_words_that_it_never_saw() -> None:
    model = MultiviewDataset.from_lists({"en": ["cat dog", "sun moon"], "fi": ["kissa", "aurinko"]})
    corpus = of_texts({"eng": ["cat", "sun", "cat"], "fin": ["kissa", "aurinko", None]})
    words = {n: list(v.vocabulary) for n, v in model.text_views.items()}
    shown = {"en": ("cat", "dog"), "fi": ("kissa", "aurinko")}
    output = {
        f"topics/{name}": np.array([[words[name].index(word)] for word in of_view])
        for name, of_view in shown.items()
    }
    metric = CNPMI(model, "en", "fi", 1, corpus, "eng", "fin")
    assert metric.coverage(output) == 0.75
    with pytest.warns(UserWarning, match="contains 75% of the topics' words; the others count"):
        assert metric.per_item(output).tolist() == [1.0, 0.0]
    with pytest.raises(DataError, match="unknown view 'en'"):
        CNPMI(model, "en", "fi", 1, corpus)


def test_a_word_in_both_vocabularies_keeps_its_two_counts() -> None:
    dataset = of_texts({"en": ["art rose", "rose", "art"], "de": ["art", "die", "die"]})
    views = dataset.text_views.items()
    output = {f"topics/{n}": np.array([[v.vocabulary.index("art")]]) for n, v in views}
    expected = math.log((1 / 3) / (2 / 3 * 1 / 3)) / -math.log(1 / 3)
    metric = CNPMI(dataset, "en", "de", 1, documents="all")
    assert metric.score(output) == pytest.approx(expected)


def test_topic_quality_is_coherence_times_uniqueness(dataset: Data, output: Output) -> None:
    unique = [TopicUniqueness(dataset, view, 7).score(output) for view in ("en", "de")]
    expected = CNPMI(dataset, "en", "de", 7).score(output) * np.mean(unique)
    assert TopicQuality(dataset, "en", "de", 7).score(output) == pytest.approx(expected)
    assert list(applicable(dataset, output, metrics=["cnpmi"])["cnpmi"]) == ["en-de"]
    assert not applicable(unlinked(dataset), output, metrics=["cnpmi"])


def test_a_reference_is_found_by_name_or_by_language(dataset: Data, output: Output) -> None:
    texts = {"en": ["en1 en2", "en3 en1"] * 3, "german": ["de1", "de2 de3"] * 3}
    corpus = MultiviewDataset.from_lists(texts, languages={"en": None, "german": "de"})
    views = [replace(v, language={"de": "de"}.get(n)) for n, v in dataset.text_views.items()]
    alone = MultiviewDataset(views)
    found: Any = applicable(alone, output, metrics=["cnpmi", "tu"], topk=4, corpus=corpus)
    metric = found["cnpmi"]["en-de"]
    assert (metric.corpus_first, metric.corpus_second, metric.topk) == ("en", "german", 4)
    assert found["tu"]["de"].topk == 4
    with pytest.warns(UserWarning, match="CNPMI: the reference corpus contains 12%"):
        scores = score_all(alone, output, metrics=["cnpmi"], topk=4, corpus=corpus)
    expected = CNPMI(alone, "en", "de", 4, corpus, "en", "german").score(output)
    assert scores["cnpmi"]["en-de"] == expected


def test_languages_that_the_reference_lacks_are_left_out() -> None:
    dataset = of_texts({n: [f"{n}aa {n}bb", f"{n}bb {n}cc"] for n in ("en", "de", "fi")})
    said = {f"topics/{n}": np.array([[0, 1], [1, 2]]) for n in dataset.views}
    options: dict[str, Any] = {"metrics": ["cnpmi", "tu"], "topk": 2}
    scores = score_all(dataset, said, corpus=dataset.with_views(["de", "en"]), **options)
    assert list(scores["cnpmi"]) == ["en-de"]
    assert list(scores["tu"]) == ["en", "de", "fi"]
    with pytest.raises(DataError, match=r"reference corpus \(fi\) links no two of the languages"):
        score_all(dataset, said, corpus=dataset.with_views(["fi"]), **options)


def test_the_data_set_loaded_again_is_still_its_own_reference(
    dataset: Data, output: Output, tmp_path: Path
) -> None:
    dataset.save(tmp_path / "data")
    again = MultiviewDataset.from_folder(tmp_path / "data")
    loaded, own = CNPMI(dataset, "en", "de", 5, again), CNPMI(dataset, "en", "de", 5)
    np.testing.assert_array_equal(loaded.per_item(output), own.per_item(output))
