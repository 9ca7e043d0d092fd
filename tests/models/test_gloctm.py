"""GloCTM: the contract, the plain formula, and planted topics without links."""

import warnings
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from plain import divergence, loss_and_noise, plain_vae, posterior_of_counts, sparse_rows
from planted import Planted, holds_for_most_seeds

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.models import NMTM, GloCTM, InfoCTM
from octis_m3l.models.gloctm import GloCTMNetwork, GloCTMSettings
from octis_m3l.networks import expansion_table

from .contract import refused
from .unlinked import (
    SIZES,
    UnlinkedModelContract,
    leading_topics,
    three_views,
    with_word_vectors,
)


class TestGloCTM(UnlinkedModelContract):
    model = GloCTM
    why_not_unlinked = "encoder='auto' does not give words of several languages vectors in one"
    settings: ClassVar[dict[str, Any]] = {
        **UnlinkedModelContract.settings,
        "global_hidden_size": 12,
    }


@pytest.fixture(scope="module")
def dataset(five_themes: Planted) -> MultiviewDataset:
    """Texts without links, with word vectors of one space."""
    return MultiviewDataset(with_word_vectors(five_themes, one_space=True).views.values())


SETTINGS: dict[str, Any] = {
    "num_topics": 5,
    "epochs": 150,
    "learning_rate": 5e-3,
    "batch_size": 32,
    "encoder": "word-vectors",
    "cka_weight": 20.0,
    "hidden_size": 50,
}


def test_finds_planted_topics_across_languages_that_nothing_links(
    five_themes: Planted, dataset: MultiviewDataset
) -> None:
    assert not dataset.is_linked

    def finds(seed: int) -> None:
        model = GloCTM(**SETTINGS | {"learning_rate": 1e-2, "seed": seed}).fit(dataset)
        leading = leading_topics(model, five_themes)
        assert len(set(leading["en"])) == 5
        assert leading["en"] == leading["de"] == leading["fi"]

    holds_for_most_seeds(finds)


@pytest.mark.slow
def test_without_the_global_path_languages_are_not_aligned(
    five_themes: Planted, dataset: MultiviewDataset
) -> None:
    model = GloCTM(**SETTINGS, global_encoder=False).fit(dataset)
    assert set(model.history.epochs[-1]) == {"reconstruction", "prior", "cka"}  # type: ignore[union-attr]
    leading = [
        [int(np.argmax([len(theme & set(t)) for t in model.topics(name, 8)])) for theme in themes]
        for name, themes in five_themes.words.items()
    ]
    assert leading[0] != leading[1]


def test_the_global_encoder_infers(five_themes: Planted, dataset: MultiviewDataset) -> None:
    model = GloCTM(**SETTINGS | {"epochs": 2}, inferred_by="global").fit(dataset)
    texts = [" ".join(sorted(theme)) for theme in five_themes.words["de"]]
    counts = np.zeros((1, len(dataset.text_view("de").vocabulary)), np.int64)
    counts[0, [3, 4]] = 2
    assert model.infer(texts, "de").shape == (5, 5)
    assert model.infer(counts, "de", samples=0).sum() == pytest.approx(1.0, rel=1e-5)


# The loss.


@pytest.mark.parametrize("whole", [True, False])
def test_the_loss_is_the_plain_formula(whole: bool) -> None:
    torch.manual_seed(0)
    given = {
        "num_topics": 3,
        "hidden_size": 5,
        "global_hidden_size": 7,
        "neighbours": 2,
        "alignment_weight": 1.7,
        "cka_weight": 11.0,
        "global_encoder": whole,
    }
    network: Any = GloCTMNetwork(SIZES, GloCTMSettings.checked(given, "test")).double()
    random = np.random.default_rng(1)
    vectors = {name: random.normal(size=(size, 4)) for name, size in SIZES.items()}
    for name in SIZES if whole else ():
        table = torch.from_numpy(expansion_table(vectors, name, 2))
        network.expansions[name].table.copy_(table)
    counts, batch = three_views(random)
    terms = loss_and_noise(network, batch)

    betas = network.betas()
    expected: dict[str, float] = dict.fromkeys(terms, 0.0)
    posteriors = {}
    for name in SIZES:
        local = network.local[name]
        posteriors[name] = posterior_of_counts(local, local.input_layer, counts[name])
        decoder = network.decoders[name]
        lost, kl, theta = plain_vae(posteriors[name], counts[name], betas[name], decoder)
        expected["reconstruction"] += lost
        expected["prior"] += kl
        embeddings = batch.views[name].embeddings
        s, t = theta - theta.mean(0), embeddings - embeddings.mean(0)
        alike = (s.T @ t).norm() / ((s.T @ s).norm() * (t.T @ t).norm()).sqrt()
        expected["cka"] += 11.0 * float(1 - alike)
    joint = torch.cat([betas[name] for name in SIZES], dim=1)
    for name in SIZES if whole else ():
        g = network.expansions[name](sparse_rows(counts[name])).dense(19).numpy()
        assert g.sum() > (counts[name] > 0).sum()
        wide = posterior_of_counts(network.everywhere, network.everywhere.input_layer, g)
        lost, kl, _ = plain_vae(wide, g, joint, network.joint_decoder)
        expected["global reconstruction"] += lost
        expected["global prior"] += kl
        expected["alignment"] += 1.7 * float(divergence(*posteriors[name], *wide).mean())
    assert terms == pytest.approx(expected, rel=1e-6)


# Word vectors.


def test_word_vectors_that_do_not_fit_are_refused(
    five_themes: Planted, dataset: MultiviewDataset
) -> None:
    plain = MultiviewDataset(five_themes.dataset.views.values())
    vectors: dict[str, Any] = {n: v.word_vectors for n, v in dataset.text_views.items()}
    given = {n: np.eye(len(v), 3, dtype=np.float32) for n, v in plain.views.items()}
    # Made for one language alone.
    alone = replace(dataset.text_view("de"), word_space="word2vec_de.npz")
    apart = MultiviewDataset((dataset.views | {"de": alone}).values())
    for encoder, data, message in (
        (
            "lsa",
            plain.with_word_vectors({"en": vectors["en"]}),
            "views en have word vectors and de, fi none; give vectors",
        ),
        (
            "lsa",
            dataset.with_word_vectors({"en": vectors["en"][:, :7]}),
            "word vectors differ in dimensions (en 7, de 20, fi 20)",
        ),
        ("word-vectors", plain, "view 'en' has no word vectors; attach them with"),
        (
            "given",
            plain.with_embeddings(given),
            "en, de, fi have no word vectors, and encoder='given' does not give words",
        ),
        (
            "word-vectors",
            apart,
            "vectors of de (word2vec_de.npz) were made for that language alone, so words",
        ),
    ):
        model = GloCTM(**SETTINGS | {"encoder": encoder, "epochs": 1})
        refused(DataError, message, model.train_model, data)
    mended = apart.with_word_vectors({"de": vectors["de"]})
    assert mended.text_view("de").word_space is None
    GloCTM(**SETTINGS | {"epochs": 1}).train_model(MultiviewDataset([alone]))


def test_word_vectors_that_are_odd_are_warned_of(
    five_themes: Planted, dataset: MultiviewDataset
) -> None:
    dataset = dataset.with_views(["en", "de"])
    vectors = np.array(dataset.text_view("de").word_vectors)
    themes = zip(five_themes.words["en"], five_themes.words["de"], strict=True)
    pairs = [pair for theme in themes for pair in product(*theme)]
    tied = dataset.with_dictionary("en", "de", pairs)
    model = GloCTM(**SETTINGS | {"epochs": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.train_model(tied)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
    without = np.where(np.arange(len(vectors))[:, None] < 2, 0, vectors)
    for data, of_german, message in (
        (
            tied,
            vectors @ turn,
            r"en and de seem to be of two spaces: of \d+ pairs of their dictionary only \d\d% are",
        ),
        (
            dataset,
            without,
            r"^2 of \d+ words of view 'de' have no vector \(zeros\): they have no neighbours",
        ),
    ):
        with pytest.warns(UserWarning, match=message):
            model.train_model(data.with_word_vectors({"de": of_german}))


# What models of unlinked languages share.


@pytest.mark.parametrize("model", [GloCTM, InfoCTM, NMTM])
def test_a_checkpoint_of_views_in_another_order_is_refused(
    model: Any, five_themes: Planted, tmp_path: Path
) -> None:
    dataset = five_themes.dataset.with_views(["en", "de"])
    settings: dict[str, Any] = {"epochs": 1, "num_topics": 4, "batch_size": 32}
    model(**settings, checkpoint=tmp_path).train_model(dataset)
    turned, again = dataset.with_views(["de", "en"]), model(**settings, checkpoint=tmp_path)
    refused(StorageError, "belongs to another run: views differ", again.train_model, turned)


def test_settings_that_mean_nothing_are_refused(five_themes: Planted) -> None:
    model = NMTM(num_topics=4, epochs=1).fit(five_themes.dataset)
    for wrong in (-1, 2.5, True):
        message = "expected a whole number, 0 or more"
        refused(SettingsError, message, model.infer, ["en_sea_1"], "en", samples=wrong)
    message = "there is no global encoder to infer by"
    refused(SettingsError, message, GloCTM, inferred_by="global", global_encoder=False)


def test_documents_that_are_all_alike_end_no_training(dataset: MultiviewDataset) -> None:
    short = dataset.text_view("de").take(np.zeros(5, np.int64), (5, 0, 0))
    views = [dataset.text_view("en"), short]
    with pytest.warns(UserWarning, match="^all 5 embeddings of view 'de' are the same, so nothing"):
        model = GloCTM(**SETTINGS | {"epochs": 3}).fit(MultiviewDataset(views))
    assert np.isfinite(model.output["topic-word-matrix/de"]).all()
