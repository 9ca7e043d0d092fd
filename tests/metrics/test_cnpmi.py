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
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import CNPMI, TopicQuality, TopicUniqueness, applicable, score_all
from octis_m3l.metrics.cnpmi import cross_lingual_npmi

from .contract import MetricContract

PAIR = {"first": "en", "second": "de"}


class TestCNPMI(MetricContract):
    metric = CNPMI
    arguments = PAIR


class TestTopicQuality(MetricContract):
    metric = TopicQuality
    arguments = PAIR


def slow(
    first: NDArray[Any], second: NDArray[Any], one: NDArray[Any], other: NDArray[Any], counting: str
) -> list[float]:
    documents = len(one)
    scores = []
    for topic, translated in zip(first, second, strict=True):
        values = []
        for a in topic:
            for b in translated:
                if a < 0 or b < 0:
                    values.append(0.0)
                    continue
                if counting == "documents":
                    pa = sum(row[a] > 0 for row in one) / documents
                    pb = sum(row[b] > 0 for row in other) / documents
                else:
                    pa, pb = one[:, a].sum() / documents, other[:, b].sum() / documents
                both = (
                    sum(x[a] > 0 and y[b] > 0 for x, y in zip(one, other, strict=True)) / documents
                )
                if both == 0:
                    values.append(0.0)
                elif both == 1:
                    values.append(1.0)
                else:
                    values.append(math.log(both / (pa * pb)) / -math.log(both))
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


def test_counts_held_out_tuples_of_both_languages(
    dataset: MultiviewDataset, output: dict[str, Any]
) -> None:
    metric = CNPMI(dataset, "en", "de", 5)
    bags = {n: np.asarray(dataset.text_view(n).bag_of_words.todense()) for n in ("en", "de")}
    rows = [
        (e, d)
        for e, te in enumerate(dataset.tuples("en"))
        for d, td in enumerate(dataset.tuples("de"))
        if te == td >= 0 and e >= dataset.view("en").sizes[0] and d >= dataset.view("de").sizes[0]
    ]
    one, other = bags["en"][[e for e, _ in rows]], bags["de"][[d for _, d in rows]]
    topics = [
        np.where(bag.sum(axis=0) > 0, np.arange(bag.shape[1]), -1)[output[f"topics/{n}"][:, :5]]
        for n, bag in (("en", one), ("de", other))
    ]
    expected = slow(*topics, one, other, "documents")
    np.testing.assert_allclose(metric.per_item(output), expected, rtol=1e-9)
    assert metric.coverage(output) == pytest.approx(np.mean([t >= 0 for t in topics]))
    swapped = CNPMI(dataset, "de", "en", 5)
    np.testing.assert_allclose(swapped.per_item(output), expected, rtol=1e-9)


def test_a_reference_of_its_own_and_words_that_it_never_saw() -> None:
    model = MultiviewDataset.from_lists({"en": ["cat dog", "sun moon"], "fi": ["kissa", "aurinko"]})
    corpus = MultiviewDataset.from_lists(
        {"eng": ["cat", "sun", "cat"], "fin": ["kissa", "aurinko", None]},
        languages={"eng": "en", "fin": "fi"},
    )
    words = {n: list(v.vocabulary) for n, v in model.text_views.items()}
    output = {
        "topics/en": np.array([[words["en"].index("cat")], [words["en"].index("dog")]]),
        "topics/fi": np.array([[words["fi"].index("kissa")], [words["fi"].index("aurinko")]]),
    }
    metric = CNPMI(model, "en", "fi", 1, corpus, "eng", "fin")
    assert metric.coverage(output) == 0.75
    with pytest.warns(UserWarning, match="contains 75% of the topics' words; the others count"):
        assert metric.per_item(output).tolist() == [1.0, 0.0]
    with pytest.raises(DataError, match="unknown view 'en'"):
        CNPMI(model, "en", "fi", 1, corpus)


def test_a_word_in_both_vocabularies_keeps_its_two_counts() -> None:
    texts = {"en": ["art rose", "rose", "art"], "de": ["art", "die", "die"]}
    dataset = MultiviewDataset.from_lists(texts, languages=dict.fromkeys(texts))
    place = {n: v.vocabulary.index("art") for n, v in dataset.text_views.items()}
    output = {f"topics/{n}": np.array([[place[n]]]) for n in texts}
    metric = CNPMI(dataset, "en", "de", 1, documents="all")
    expected = math.log((1 / 3) / (2 / 3 * 1 / 3)) / -math.log(1 / 3)
    assert metric.score(output) == pytest.approx(expected)


def test_topic_quality_is_coherence_times_uniqueness(
    dataset: MultiviewDataset, output: dict[str, Any]
) -> None:
    unique = [TopicUniqueness(dataset, view, 7).score(output) for view in ("en", "de")]
    expected = CNPMI(dataset, "en", "de", 7).score(output) * np.mean(unique)
    assert TopicQuality(dataset, "en", "de", 7).score(output) == pytest.approx(expected)


def test_what_can_not_be_counted_is_refused(dataset: MultiviewDataset) -> None:
    alone = MultiviewDataset(dataset.views.values())
    with pytest.raises(DataError, match=r"no tuple of the reference corpus \(auto\) has documents"):
        CNPMI(alone, "en", "de")
    with pytest.raises(SettingsError, match="first and second are both 'en'"):
        CNPMI(dataset, "en", "en")
    with pytest.raises(SettingsError, match=r"unknown option 'token'. Did you mean 'tokens'\?"):
        CNPMI(dataset, "en", "de", counting="token")
    with pytest.raises(SettingsError, match=r"unknown option 'heldout'. Did you mean 'held-out'"):
        CNPMI(dataset, "en", "de", documents="heldout")


def test_applies_to_linked_data_alone(dataset: MultiviewDataset, output: dict[str, Any]) -> None:
    assert list(applicable(dataset, output, metrics=["cnpmi"])["cnpmi"]) == ["en-de"]
    assert not applicable(MultiviewDataset(dataset.views.values()), output, metrics=["cnpmi"])


def test_a_reference_is_found_by_name_or_by_language(
    dataset: MultiviewDataset, output: dict[str, Any]
) -> None:
    texts = {"en": ["en1 en2", "en3 en1"] * 3, "german": ["de1", "de2 de3"] * 3}
    corpus = MultiviewDataset.from_lists(texts, languages={"en": None, "german": "de"})
    views = [replace(v, language={"de": "de"}.get(n)) for n, v in dataset.text_views.items()]
    alone = MultiviewDataset(views)
    found = applicable(alone, output, metrics=["cnpmi", "tu"], topk=4, corpus=corpus)
    metric: Any = found["cnpmi"]["en-de"]
    assert (metric.corpus_first, metric.corpus_second, metric.topk) == ("en", "german", 4)
    assert found["tu"]["de"].topk == 4  # type: ignore[attr-defined]
    with pytest.warns(UserWarning, match="CNPMI: the reference corpus contains 12%"):
        scores = score_all(alone, output, metrics=["cnpmi"], topk=4, corpus=corpus)
    assert scores["cnpmi"]["en-de"] == CNPMI(alone, "en", "de", 4, corpus, "en", "german").score(
        output
    )


def test_languages_that_the_reference_lacks_are_left_out(output: dict[str, Any]) -> None:
    texts = {n: [f"{n}aa {n}bb", f"{n}bb {n}cc"] for n in ("en", "de", "fi")}
    dataset = MultiviewDataset.from_lists(texts, languages=dict.fromkeys(texts))
    said = {f"topics/{n}": np.array([[0, 1], [1, 2]]) for n in texts}
    options: dict[str, Any] = {"metrics": ["cnpmi", "tu"], "topk": 2}
    scores = score_all(dataset, said, corpus=dataset.with_views(["de", "en"]), **options)
    assert list(scores["cnpmi"]) == ["en-de"]
    assert list(scores["tu"]) == ["en", "de", "fi"]
    with pytest.raises(DataError, match=r"reference corpus \(fi\) links no two of the languages"):
        score_all(dataset, said, corpus=dataset.with_views(["fi"]), **options)
    with pytest.raises(SettingsError, match="corpus_first and corpus_second are both 'en'"):
        CNPMI(dataset, "en", "de", 2, None, "en", "en")


def test_the_data_set_loaded_again_is_still_its_own_reference(
    dataset: MultiviewDataset, output: dict[str, Any], tmp_path: Path
) -> None:
    dataset.save(tmp_path / "data")
    again = MultiviewDataset.from_folder(tmp_path / "data")
    own = CNPMI(dataset, "en", "de", 5)
    loaded = CNPMI(dataset, "en", "de", 5, again)
    np.testing.assert_array_equal(loaded.per_item(output), own.per_item(output))
