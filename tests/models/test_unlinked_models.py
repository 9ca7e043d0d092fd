"""GloCTM, InfoCTM and NMTM: the contract, planted topics without links, the plain formulas."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from plain import divergence, loss_and_noise, plain_vae, posterior_of_counts, sparse_rows
from planted import Planted, planted

from octis_m3l.data.batches import Batch, ViewBatch
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.encoders import encode_words
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.models import NMTM, GloCTM, InfoCTM
from octis_m3l.models.gloctm import GloCTMNetwork, GloCTMSettings
from octis_m3l.models.infoctm import InfoCTMNetwork, InfoCTMSettings, Links
from octis_m3l.models.nmtm import NMTMNetwork, NMTMSettings
from octis_m3l.networks import expansion_table, linked_words

from .contract import ModelContract, leading_topics, refused

SIZES = {"a": 6, "b": 9, "c": 4}
SETTINGS: dict[str, Any] = {
    "num_topics": 5,
    "epochs": 150,
    "learning_rate": 5e-3,
    "batch_size": 32,
    "hidden_size": 50,
}
ALIGNED = SETTINGS | {"alignment_weight": 20.0}
GLOBAL = SETTINGS | {"encoder": "word-vectors", "cka_weight": 20.0}


class UnlinkedModelContract(ModelContract):
    """What a model that reads raw counts promises of documents of any length."""

    settings: ClassVar[dict[str, Any]] = {"epochs": 2, "batch_size": 16, "hidden_size": 12}

    def inferred(self, data: MultiviewDataset) -> list[str]:
        """Return the views of texts."""
        return list(data.text_views)

    def test_a_text_repeated_is_about_the_same(self, trained: Any, data: MultiviewDataset) -> None:
        view = data.text_view("en")
        lengths = np.diff(view.offsets)
        usual = np.abs(lengths - lengths.mean()) < 2
        short = view.bag_of_words.toarray()[usual].astype(np.int64)
        assert len(short) > 5
        expected = trained.infer(short, "en")
        for times in (5, 200, 5000):
            found = trained.infer(short * times, "en")
            np.testing.assert_allclose(found, expected, atol=0.02)
            np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))


class TestGloCTM(UnlinkedModelContract):
    model = GloCTM
    why_not_unlinked = "encoder='auto' does not give words of several languages vectors in one"
    settings: ClassVar[dict[str, Any]] = {
        **UnlinkedModelContract.settings,
        "global_hidden_size": 12,
    }


class TestInfoCTM(UnlinkedModelContract):
    model = InfoCTM
    needs_dictionary = True


class TestNMTM(UnlinkedModelContract):
    model = NMTM
    needs_dictionary = True


# What they learn.


def with_word_vectors(data: Planted, *, one_space: bool) -> MultiviewDataset:
    """Return the texts without links, with word vectors that are near within a theme."""
    texts, vectors = data.dataset.with_views(list(data.words)), {}
    for number, (name, themes) in enumerate(data.words.items()):
        random = np.random.default_rng(0 if one_space else number)
        centres = random.normal(size=(len(themes) + 1, 20))
        of_word = [
            next((n for n, theme in enumerate(themes) if word in theme), len(themes))
            for word in texts.text_view(name).vocabulary
        ]
        noise = np.random.default_rng(9 + number).normal(size=(len(of_word), 20))
        vectors[name] = centres[of_word] + 0.3 * noise
    texts = texts.with_word_vectors(vectors)
    return MultiviewDataset(texts.views.values(), dictionaries=texts.dictionaries)


@pytest.fixture(scope="module")
def one_space(five_themes: Planted) -> MultiviewDataset:
    """Texts without links or dictionaries, with word vectors of one space."""
    views = with_word_vectors(five_themes, one_space=True).views
    return MultiviewDataset(views.values())


@pytest.fixture(scope="module")
def tied(five_themes: Planted) -> MultiviewDataset:
    """Texts that dictionaries tie, with word vectors of a space for each language."""
    return with_word_vectors(five_themes, one_space=False)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (GloCTM, GLOBAL | {"learning_rate": 1e-2, "epochs": 60}),
        (InfoCTM, ALIGNED | {"epochs": 80}),
    ],
)
def test_finds_planted_topics_across_languages_that_nothing_links(
    model: Any, settings: dict[str, Any]
) -> None:
    agreeing, found = [], []
    for seed in range(3):
        given: dict[str, Any] = {"themes": 5, "images": False, "concentration": 0.1}
        data = planted(("en", "de", "fi"), tuples=150, **given, seed=seed)
        dataset = with_word_vectors(data, one_space=model is GloCTM)
        if model is GloCTM:
            dataset = MultiviewDataset(dataset.views.values())
        assert not dataset.is_linked
        trained = model(**settings, seed=seed).fit(dataset)
        leading = leading_topics(trained, data, 0, 0)
        agreeing += [np.equal(leading["en"], leading[name]).mean() for name in ("de", "fi")]
        for number, topic in enumerate(leading["en"]):
            hits = [
                len(themes[number] & set(trained.topics(name, 8)[topic]))
                for name, themes in data.words.items()
            ]
            found.append(min(hits) >= 5)
    # By chance one in five agrees, and none is found.
    assert np.mean(agreeing) > 0.8
    assert np.mean(found) > 0.7


@pytest.mark.slow
def test_nothing_else_aligns_languages(
    five_themes: Planted, one_space: MultiviewDataset, tied: MultiviewDataset
) -> None:
    agreeing: dict[str, list[float]] = {"gloctm": [], "infoctm": []}
    for seed in range(3):
        model: Any = GloCTM(**GLOBAL, global_encoder=False, seed=seed).fit(one_space)
        assert set(model.history.epochs[-1]) == {"reconstruction", "prior", "cka"}
        agreeing["gloctm"] += agreement(leading_topics(model, five_themes, 0, 0))
        model = InfoCTM(**ALIGNED | {"alignment_weight": 0.0}, seed=seed).fit(tied)
        assert set(model.history.epochs[-1]) == {"reconstruction", "prior"}
        agreeing["infoctm"] += agreement(leading_topics(model, five_themes))
    # By chance a fifth of the themes has one topic in two languages.
    for found in agreeing.values():
        assert len(found) == 9
        assert np.mean(found) < 0.6


def agreement(topics: dict[str, list[int]]) -> list[float]:
    """Return, for each pair of languages, the share of themes that are found in one topic."""
    return [float(np.mean(np.equal(topics[a], topics[b]))) for a, b in combinations(topics, 2)]


@pytest.mark.slow
def test_nmtm_finds_topics_across_languages_that_nothing_links(
    five_themes: Planted, tied: MultiviewDataset
) -> None:
    # Two topics may stay crossed in one language: what a language's own φ shapes is the
    # others' topics, so several seeds are looked at.
    agreeing: dict[float, list[float]] = {0.8: [], 0.0: []}
    for mixture, found in agreeing.items():
        for seed in range(3):
            model = NMTM(**SETTINGS, mixture=mixture, seed=seed).fit(tied)
            topics = leading_topics(model, five_themes)
            assert len(set(topics["en"])) == 5
            found += agreement(topics)
    assert np.mean(agreeing[0.8]) > 0.6
    assert np.mean(agreeing[0.0]) < 0.4


def test_the_global_encoder_infers(five_themes: Planted, one_space: MultiviewDataset) -> None:
    model = GloCTM(**GLOBAL | {"epochs": 2}, inferred_by="global").fit(one_space)
    texts = [" ".join(sorted(theme)) for theme in five_themes.words["de"]]
    counts = np.zeros((1, len(one_space.text_view("de").vocabulary)), np.int64)
    counts[0, [3, 4]] = 2
    assert model.infer(texts, "de").shape == (5, 5)
    assert model.infer(counts, "de", samples=0).sum() == pytest.approx(1.0, rel=1e-5)


# The losses.


def three_views(random: np.random.Generator) -> tuple[dict[str, NDArray[Any]], Batch]:
    """Return word counts of three small views, and the same as a batch with embeddings."""
    counts = {name: random.poisson(0.7, (8, size)).astype(float) for name, size in SIZES.items()}
    vectors = {name: torch.from_numpy(random.normal(size=(8, 6))) for name in SIZES}
    items = torch.arange(8)
    views = {n: ViewBatch(items, None, vectors[n], sparse_rows(counts[n])) for n in SIZES}
    return counts, Batch(8, views)


def plain_terms(
    network: Any,
    layers: Callable[[str], tuple[Any, Any]],
    counts: dict[str, NDArray[Any]],
    betas: Any,
    epsilon: float = 1e-5,
) -> tuple[dict[str, float], dict[str, Any], dict[str, Any]]:
    """Return RL and KL to the prior, summed over views; and each view's posterior and θ."""
    expected, posteriors, thetas = {"reconstruction": 0.0, "prior": 0.0}, {}, {}
    for name in SIZES:
        posteriors[name] = posterior_of_counts(*layers(name), counts[name], epsilon)
        decoder = network.decoders[name]
        given = posteriors[name], counts[name], betas[name], decoder, epsilon
        lost, kl, thetas[name] = plain_vae(*given)
        expected["reconstruction"] += lost
        expected["prior"] += kl
    return expected, posteriors, thetas


@pytest.mark.parametrize("whole", [True, False])
def test_gloctms_loss_is_the_plain_formula(whole: bool) -> None:
    torch.manual_seed(0)
    given = {
        **{"num_topics": 3, "hidden_size": 5, "global_hidden_size": 7, "neighbours": 2},
        **{"alignment_weight": 1.7, "cka_weight": 11.0, "global_encoder": whole},
    }
    network: Any = GloCTMNetwork(SIZES, GloCTMSettings.checked(given, "test")).double()
    random = np.random.default_rng(1)
    vectors = {name: random.normal(size=(size, 4)) for name, size in SIZES.items()}
    for name in SIZES if whole else ():
        table = torch.from_numpy(expansion_table(vectors, name, 2))
        network.expansions[name].table.copy_(table)
    counts, batch = three_views(random)
    terms = loss_and_noise(network, batch)

    def layers(name: str) -> Any:
        return network.local[name], network.local[name].input_layer

    betas = network.betas()
    found, posteriors, thetas = plain_terms(network, layers, counts, betas)
    expected = dict.fromkeys(terms, 0.0) | found
    for name, theta in thetas.items():
        embeddings = batch.views[name].embeddings
        s, t = theta - theta.mean(0), embeddings - embeddings.mean(0)
        alike = (s.T @ t).norm() / ((s.T @ s).norm() * (t.T @ t).norm()).sqrt()
        expected["cka"] += 11.0 * float((1 - alike).detach())
    joint = torch.cat([betas[name] for name in SIZES], dim=1)
    for name in SIZES if whole else ():
        g = network.expansions[name](sparse_rows(counts[name])).dense(19).numpy()
        assert g.sum() > (counts[name] > 0).sum()
        wide = posterior_of_counts(network.everywhere, network.everywhere.input_layer, g)
        lost, kl, _ = plain_vae(wide, g, joint, network.joint_decoder)
        expected["global reconstruction"] += lost
        expected["global prior"] += kl
        expected["alignment"] += 1.7 * float(divergence(*posteriors[name], *wide).mean().detach())
    assert terms == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("at_once", [1, 2**22])
@pytest.mark.parametrize("threshold", [-1.0, 0.4, 1.0])
def test_infoctms_loss_is_the_plain_formula(
    threshold: float, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("octis_m3l.data.words._SCORES_AT_ONCE", at_once)
    torch.manual_seed(0)
    random = np.random.default_rng(1)
    vectors = {name: random.normal(size=(size, 4)) for name, size in SIZES.items()}
    vectors["b"][5] = 0
    pairs = {
        (a, b): np.unique(random.integers(0, [SIZES[a], SIZES[b]], (6, 2)), axis=0)
        for a, b in (("a", "b"), ("a", "c"))
    }
    given = {"num_topics": 3, "hidden_size": 5, "alignment_weight": 7.0}
    network: Any = InfoCTMNetwork(SIZES, InfoCTMSettings.checked(given, "test"))
    for (a, b), rows in pairs.items():
        network.links.append(Links(a, b, linked_words(rows, vectors[a], vectors[b], threshold)))
    network.double()
    counts, batch = three_views(random)
    terms = loss_and_noise(network, batch)

    def layers(name: str) -> Any:
        return network.encoders[name], network.encoders[name].input_layer

    betas, near = network.betas(), {}
    expected, _, _ = plain_terms(network, layers, counts, betas)
    expected["alignment"] = 0.0
    for name, of_words in vectors.items():
        known = of_words.any(axis=1)
        unit = of_words / np.maximum(np.linalg.norm(of_words, axis=1, keepdims=True), 1e-9)
        alike = (unit @ unit.T >= threshold) & known & known[:, None]
        near[name] = (alike | np.eye(len(unit), dtype=bool)).astype(float)
    for (a, b), rows in pairs.items():
        translated = np.zeros((SIZES[a], SIZES[b]))
        translated[rows[:, 0], rows[:, 1]] = 1
        weights = near[a] @ translated, (near[b] @ translated.T).T
        one, other = (torch.nn.functional.normalize(betas[n].T, dim=1) for n in (a, b))
        s = (one @ other.T / 0.2).detach().numpy()
        total = 0.0
        for scores, positive in ((s, weights[0]), (s.T, weights[1].T)):
            for i, j in zip(*np.nonzero(positive), strict=True):
                negatives = np.exp(scores[i])[positive[i] == 0].sum()
                likely = np.exp(scores[i, j])
                total -= positive[i, j] * math.log(likely / (likely + negatives))
        expected["alignment"] += 7.0 * total / sum(w.sum() for w in weights)
    assert terms == pytest.approx(expected, rel=1e-7)


def test_nmtms_loss_is_the_plain_formula() -> None:
    torch.manual_seed(0)
    random = np.random.default_rng(1)
    listed = {
        ("a", "b"): np.unique(random.integers(0, [6, 9], (7, 2)), axis=0),
        ("a", "c"): np.unique(random.integers(0, [6, 4], (5, 2)), axis=0),
    }
    pairs = listed | {(b, a): rows[:, ::-1] for (a, b), rows in listed.items()}
    frequencies = {name: random.integers(0, 9, size) for name, size in SIZES.items()}
    settings = NMTMSettings.checked({"num_topics": 3, "hidden_size": 5, "mixture": 0.7}, "test")
    shape = [(*views, len(rows)) for views, rows in pairs.items()]
    network: Any = NMTMNetwork(SIZES, settings, shape)
    translated: dict[str, list[Any]] = {name: [] for name in SIZES}
    phis = dict(zip(SIZES, network.phis, strict=True))
    for (source, target), rows in pairs.items():
        network.into[target][source].fit(rows, frequencies[source])
        matrix = np.zeros((SIZES[source], SIZES[target]))
        for i, j in rows:
            matrix[i, j] = frequencies[source][i]
        matrix = (matrix + 1) / (matrix + 1).sum(axis=1, keepdims=True)
        translated[target].append(phis[source].double() @ torch.from_numpy(matrix))
    network.double()
    counts, batch = three_views(random)
    terms = loss_and_noise(network, batch)
    betas = {n: 0.7 * sum(t) / len(t) + 0.3 * phis[n].double() for n, t in translated.items()}

    def layers(name: str) -> Any:
        return network.shared, network.first[name]

    expected, _, _ = plain_terms(network, layers, counts, betas, 1e-3)
    # The dictionary's weights are single precision.
    assert terms == pytest.approx(expected, rel=1e-6)


# Word vectors.


def test_infoctm_without_word_vectors_takes_those_of_an_lsa(planted_data: Planted) -> None:
    dataset = planted_data.dataset
    short: dict[str, Any] = {"epochs": 1, "hidden_size": 12, "batch_size": 16, "num_topics": 4}
    vectors = encode_words(dataset.with_views(["en", "de"]), "lsa")
    others = with_word_vectors(planted_data, one_space=False)
    outputs = [
        InfoCTM(**short).fit(data).output["topic-word-matrix"]
        for data in (dataset, dataset.with_word_vectors(vectors), others)
    ]
    np.testing.assert_array_equal(*outputs[:2])
    assert not np.array_equal(outputs[0], outputs[2])


def test_word_vectors_that_do_not_fit_are_refused(
    five_themes: Planted, one_space: MultiviewDataset
) -> None:
    plain = MultiviewDataset(five_themes.dataset.views.values())
    vectors: dict[str, Any] = {n: v.word_vectors for n, v in one_space.text_views.items()}
    given = {n: np.eye(len(v), 3, dtype=np.float32) for n, v in plain.views.items()}
    # Made for one language alone.
    alone = replace(one_space.text_view("de"), word_space="word2vec_de.npz")
    apart = MultiviewDataset((one_space.views | {"de": alone}).values())
    for encoder, data, message in (
        (
            "lsa",
            plain.with_word_vectors({"en": vectors["en"]}),
            "views en have word vectors and de, fi none; give vectors",
        ),
        (
            "lsa",
            one_space.with_word_vectors({"en": vectors["en"][:, :7]}),
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
        model = GloCTM(**GLOBAL | {"encoder": encoder, "epochs": 1})
        refused(DataError, message, model.train_model, data)
    mended = apart.with_word_vectors({"de": vectors["de"]})
    assert mended.text_view("de").word_space is None
    GloCTM(**GLOBAL | {"epochs": 1}).train_model(MultiviewDataset([alone]))


def test_word_vectors_that_are_odd_are_warned_of(
    five_themes: Planted, one_space: MultiviewDataset
) -> None:
    dataset = one_space.with_views(["en", "de"])
    vectors = np.array(dataset.text_view("de").word_vectors)
    themes = zip(five_themes.words["en"], five_themes.words["de"], strict=True)
    pairs = [pair for theme in themes for pair in product(*theme)]
    tied = dataset.with_dictionary("en", "de", pairs)
    model = GloCTM(**GLOBAL | {"epochs": 1})
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
    message = "gloctm: inferred_by='global' needs global_encoder=True."
    refused(SettingsError, message, GloCTM, inferred_by="global", global_encoder=False)


def test_documents_that_are_all_alike_end_no_training(one_space: MultiviewDataset) -> None:
    short = one_space.text_view("de").take(np.zeros(5, np.int64), (5, 0, 0))
    views = [one_space.text_view("en"), short]
    with pytest.warns(UserWarning, match="^all 5 embeddings of view 'de' are the same, so nothing"):
        model = GloCTM(**GLOBAL | {"epochs": 3}).fit(MultiviewDataset(views))
    assert np.isfinite(model.output["topic-word-matrix/de"]).all()
