"""PLTM: the contract, planted topics, new documents, interruptions."""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from planted import IMAGE, Planted, holds_for_most_seeds, in_unrelated_spaces, planted
from sampling.corpora import stop_after
from scipy.sparse import csr_array

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.metrics import MRR
from octis_m3l.models import PLTM, ZeroshotTM

from .contract import (
    TOP_WORDS,
    ModelContract,
    assert_distributions,
    assert_same,
    leading_topics,
    refused,
)


class TestPLTM(ModelContract):
    model = PLTM
    settings: ClassVar[dict[str, Any]] = {"iterations": 30, "visual_words": 12, "samples": 3}
    needs_links = True
    infers_training_items = False


def small(**changes: Any) -> PLTM:
    settings: dict[str, Any] = {"num_topics": 4, "iterations": 120, "samples": 4}
    return PLTM(**settings | changes)


@pytest.fixture(scope="module")
def texts(planted_data: Planted) -> MultiviewDataset:
    """English and German, a quarter of the documents missing."""
    return planted_data.dataset.with_views(["en", "de"])


@pytest.fixture(scope="module")
def trained(texts: MultiviewDataset) -> PLTM:
    """A trained model, to look at only."""
    return small().fit(texts, top_words=TOP_WORDS)


@pytest.fixture(scope="module")
def of_pictures(planted_data: Planted) -> PLTM:
    """A model of texts and pictures, to look at only."""
    model = small(visual_words=20, iterations=200, words_per_picture=3)
    return model.fit(planted_data.dataset, top_words=TOP_WORDS)


@cache
def of_seed(seed: int) -> tuple[Planted, PLTM]:
    """Return five themes with gaps, and a model of more topics, to look at only."""
    given: dict[str, Any] = {"themes": 5, "images": False, "missing": 0.2, "concentration": 0.2}
    data = planted(("en", "de", "fi"), tuples=250, **given, seed=seed)
    return data, PLTM(num_topics=7, iterations=300, eta=0.05, seed=seed).fit(data.dataset)


# What it learns.


def test_finds_planted_topics_in_every_language() -> None:
    def finds(seed: int) -> None:
        data, model = of_seed(seed)
        leading = leading_topics(model, data, 7, 7)
        # A theme is one topic, whatever the language.
        assert len(set(leading["en"])) == 5
        assert leading["en"] == leading["de"] == leading["fi"]
        for language, themes in data.words.items():
            theta = model.infer([" ".join(sorted(theme)) for theme in themes], language)
            assert theta.argmax(axis=1).tolist() == leading[language]
            assert (theta.max(axis=1) > 0.5).all()

    holds_for_most_seeds(finds)


def test_finds_the_linked_document_from_one_language_alone() -> None:
    def finds(seed: int) -> None:
        data, trained = of_seed(seed)
        model: Any = trained
        settings: dict[str, Any] = {"epochs": 20, "learning_rate": 1e-2, "batch_size": 32}
        other = ZeroshotTM(num_topics=7, seed=seed, **settings)
        baseline = other.train_model(in_unrelated_spaces(data.dataset, seed))
        for query, target in (("de", "en"), ("en", "fi")):
            metric = MRR(data.dataset, query, target)
            found = metric.score(model.output)
            assert found > 5 * metric.chance()
            assert found > 2 * metric.score(baseline)
        # α is larger for common topics.
        used = model.output.theta("en").mean(axis=0)
        assert model.alpha.max() > 3 * model.alpha.min()
        assert np.corrcoef(model.alpha, used)[0, 1] > 0.7
        assert len(model.history.epochs) == 300 // 50
        assert all(epoch["log-likelihood"] < 0 for epoch in model.history.epochs)

    holds_for_most_seeds(finds)


def test_theta_of_a_training_document_is_its_tuples(texts: MultiviewDataset, trained: Any) -> None:
    output, rows = trained.output, {}
    for name in ("en", "de"):
        numbers = texts.tuples(name)[texts.view(name).rows("train")].tolist()
        rows[name] = dict(zip(numbers, output.theta(name), strict=True))
    both = rows["en"].keys() & rows["de"].keys()
    assert len(both) > 20
    assert len(rows["en"].keys() ^ rows["de"].keys()) > 5
    for number in both:
        np.testing.assert_array_equal(rows["en"][number], rows["de"][number])
    assert len({row.tobytes() for row in rows["en"].values()}) == len(rows["en"])
    # Held-out documents are inferred from one view alone.
    assert not np.array_equal(output.theta("en", "test")[0], output.theta("de", "test")[0])


def test_one_language_alone_is_lda() -> None:
    def finds(seed: int) -> None:
        data, _ = of_seed(seed)
        dataset = data.dataset.with_views(["de"])
        model = small(num_topics=5, iterations=200, seed=seed).fit(dataset)
        assert model.output is not None
        assert_distributions(model.output)
        leading_topics(model, Planted(dataset, {"de": data.words["de"]}), 7, 7)

    holds_for_most_seeds(finds)


# Data.


def test_pictures_are_words_if_visual_words_are_asked_for(
    planted_data: Planted, of_pictures: Any
) -> None:
    message = (
        "pltm learns from words, and view(s) image hold images; leave them out "
        "(dataset.with_views, --views), or set visual_words (500, say) to have pictures "
        "quantised into words."
    )
    refused(DataError, message, small().train_model, planted_data.dataset, top_words=TOP_WORDS)
    output = of_pictures.output
    assert output.views == ["en", "de", IMAGE]
    assert [key for key in output if key.startswith("topics/")] == ["topics/en", "topics/de"]
    assert of_pictures.word_topics[IMAGE].shape == (4, 20)
    metric = MRR(planted_data.dataset, IMAGE, "en")
    assert metric.score(output) > 1.5 * metric.chance()
    message = "embeddings of shape (2, 3), expected finite numbers"
    refused(DataError, message, of_pictures.infer, np.zeros((2, 3), np.float32), IMAGE)


def test_data_without_links_or_words_are_refused(texts: MultiviewDataset) -> None:
    message = (
        "pltm learns from linked items of two views or more, and this data set has 2 view(s) and "
        "no links between training items; link it, train on one view, or use gloctm (by word "
        "vectors), infoctm or nmtm (by dictionaries) for "
    )
    unlinked, view = MultiviewDataset(texts.views.values()), texts.text_view("en")
    refused(DataError, message, small().train_model, unlinked, top_words=TOP_WORDS)
    start = view.sizes[0] + view.sizes[1]
    held_out = view.take(np.arange(start, len(view)), (0, 0, view.sizes[2]))
    message = "pltm: the training partition holds no words; split the data with dataset.with_split."
    data = MultiviewDataset([held_out])
    refused(DataError, message, small().train_model, data, top_words=TOP_WORDS)


# New documents.


def test_counts_are_read_as_texts_are(trained: PLTM, texts: MultiviewDataset) -> None:
    view = texts.text_view("de")
    rows = view.rows("test")
    counts = view.bag_of_words[rows].astype(np.int64).toarray()
    theta = trained.infer(view.items(rows), "de")
    np.testing.assert_array_equal(trained.infer(counts, "de"), theta)
    np.testing.assert_array_equal(trained.infer(csr_array(counts), "de"), theta)


def test_tuples_are_inferred_from_all_their_items(trained: PLTM) -> None:
    english, german = ["en_sea_1 en_sea_2", "en_any_1", None], ["de_sea_1", None, "de_forest_1"]
    together = trained.infer_linked({"de": german, "en": english})
    np.testing.assert_allclose(together.sum(axis=1), 1.0, rtol=1e-5)
    # What is there of one view only is what that view alone says.
    np.testing.assert_array_equal(together[1], trained.infer(["en_any_1"], "en")[0])
    np.testing.assert_array_equal(together[2], trained.infer(["de_forest_1"], "de")[0])
    np.testing.assert_array_equal(trained.infer_linked({"en": english[1:2]}), together[1:2])
    sea = together[0].argmax()
    for items, view in ((english[:1], "en"), (german[:1], "de")):
        assert trained.infer(items, view)[0].argmax() == sea
        assert together[0, sea] > trained.infer(items, view)[0, sea]
    # The default is 100 sweeps.
    for samples, equal in ((100, True), (3, False)):
        found = trained.infer_linked({"en": english, "de": german}, samples=samples)
        assert np.array_equal(found, together) == equal


def test_pictures_may_be_missing_from_tuples(planted_data: Planted, of_pictures: PLTM) -> None:
    vectors = np.asarray(planted_data.dataset.view(IMAGE).embeddings[:2], np.float32)  # type: ignore[index]
    english = ["en_sea_1 en_sea_2", "en_any_1", "en_forest_1"]
    together = of_pictures.infer_linked({"en": english, IMAGE: [vectors[0], None, vectors[1]]})
    np.testing.assert_array_equal(together[1], of_pictures.infer(english[1:2], "en")[0])
    assert (together[0] != of_pictures.infer(english[:1], "en")[0]).any()
    with pytest.warns(UserWarning, match=r"^1 of 2 tuples have no word that the model knows"):
        of_pictures.infer_linked({"en": [None, "en_sea_1"], IMAGE: [None, None]})


def test_as_many_samples_are_kept_as_are_asked_for(trained: Any, tmp_path: Path) -> None:
    assert len(trained.samples) == 4
    alphas = [sample.alpha for sample in trained.samples]
    np.testing.assert_allclose(trained.alpha, np.mean(alphas, axis=0))
    assert len({alpha.tobytes() for alpha in alphas}) > 1
    for number, name in enumerate(("en", "de")):
        phi = np.mean([sample.language(number) for sample in trained.samples], axis=0)
        np.testing.assert_allclose(trained.word_topics[name], phi.T, rtol=1e-5)
    trained.save(tmp_path / "model")
    again: Any = PLTM.load(tmp_path / "model")
    assert len(again.samples) == 4
    np.testing.assert_array_equal(again.word_topics["de"], trained.word_topics["de"])
    for name, message in (
        ("dee", "the model splits no texts of a view 'dee' into words"),
        ("de", "another tokenizer would find other words"),
    ):
        given = {"tokenizers": {name: str.split}}
        refused(SettingsError, message, PLTM.load, tmp_path / "model", **given)


def test_what_is_out_of_range_or_no_tuple_is_refused(trained: PLTM) -> None:
    for samples in (0, -5, 2.5, "x", True):
        message = f"samples={samples!r}: expected a whole number, 1 or more."
        refused(SettingsError, message, trained.infer, ["en_sea_1"], "en", samples=samples)
    for value, expected in ((1e300, ".* equal"), (1e-320, ".* equal"), (np.inf, "a finite number")):
        with pytest.raises(SettingsError, match=rf"alpha=\S+: it should be {expected}"):
            small(alpha=value, eta=value)
    items: dict[str, Any]
    for items, message in (
        ({"en": ["a", None], "de": ["b"]}, "given: en 2, de 1."),
        ({}, "given: none."),
        ({"eng": ["a"]}, "unknown view 'eng'"),
        ({"en": "text"}, "put a single item in a list"),
    ):
        refused(DataError, message, trained.infer_linked, items)


def test_items_without_known_words_have_the_priors_mean(trained: PLTM) -> None:
    message = (
        r"^2 of 3 items of view 'en' have no word that the model knows; their topic.* View 'en' is "
        "of no known language: if its words are not separated by spaces, separate them, or "
    )
    with pytest.warns(UserWarning, match=message):
        theta = trained.infer(["unheard of", "en_sea_1 en_sea_2", ""], "en")
    prior = np.mean([one.alpha / one.alpha.sum() for one in trained.samples], axis=0)
    np.testing.assert_allclose(theta[[0, 2]], [prior] * 2, rtol=1e-5)
    assert theta[1].max() > theta[0].max()


# Runs.


@pytest.mark.parametrize("sweeps", [1, 110])
def test_after_ctrl_c_it_keeps_what_it_has(
    sweeps: int, texts: MultiviewDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(monkeypatch, sweeps)
    model = small()
    with pytest.warns(UserWarning, match=f"^sampling was interrupted after {sweeps} of 120 sweeps"):
        assert model.fit(texts, top_words=TOP_WORDS) is model
    assert model.interrupted
    assert model.output is not None
    assert_distributions(model.output)
    assert model.infer(["en_sea_1"], "en").shape == (1, 4)
    with (
        pytest.warns(UserWarning, match="sampling was interrupted"),
        pytest.raises(KeyboardInterrupt),
    ):
        small().train_model(texts, top_words=TOP_WORDS)


def test_a_resumed_training_is_an_uninterrupted_one(
    texts: MultiviewDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = small(threads=2).fit(texts, top_words=TOP_WORDS)
    stop_after(monkeypatch, 70)
    with pytest.warns(UserWarning, match="interrupted after 60 of 120 sweeps"):
        small(threads=2, checkpoint=tmp_path).fit(texts, top_words=TOP_WORDS)
    monkeypatch.undo()
    model = small(threads=2, checkpoint=tmp_path, inference_samples=7)
    model.set_hyperparameters(inference_samples=100)
    assert whole.output is not None
    assert_same(model.train_model(texts, top_words=TOP_WORDS), whole.output)
    assert not model.interrupted
    assert [path.name for path in tmp_path.iterdir()] == ["seed-0"]


def test_the_checkpoint_of_other_settings_or_data_is_refused(
    texts: MultiviewDataset, tmp_path: Path
) -> None:
    small(iterations=5, checkpoint=tmp_path).fit(texts, top_words=TOP_WORDS)
    file = tmp_path / "seed-0" / "checkpoint.safetensors"
    for changes, data, differ in (
        ({"eta": 0.2, "threads": 2}, texts, "eta, threads"),
        ({}, texts.with_split(0.5, 0.2), "data"),
    ):
        message = f"{file} belongs to another run: {differ} differ. Use the settings"
        model = small(iterations=5, checkpoint=tmp_path, **changes)
        refused(StorageError, message, model.train_model, data, top_words=TOP_WORDS)
    # The identity leaves out how new documents are inferred; another seed has its own folder.
    small(iterations=5, checkpoint=tmp_path, inference_samples=3).fit(texts, top_words=TOP_WORDS)
    small(iterations=5, checkpoint=tmp_path, seed=4).fit(texts, top_words=TOP_WORDS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seed-0", "seed-4"]
