"""M3L-Contrast: the contract, planted topics, and the loss beside a plain transcription of it."""

import math
import warnings
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from plain import (
    from_prior,
    normalised,
    plain_info_nce,
    plain_kl,
    plain_mean,
    reconstruction,
    sparse_rows,
)
from planted import IMAGE, Planted, holds_for_most_seeds, in_unrelated_spaces, planted
from torch import Tensor
from torch.nn.functional import softplus

from octis_m3l.data.batches import Batch, ViewBatch
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.errors import DataError, OctisM3LError, SettingsError
from octis_m3l.files import read_json, write_json
from octis_m3l.metrics import MRR, UAP
from octis_m3l.models import M3LContrast, ModelOutput, ZeroshotTM, load_model
from octis_m3l.models.base import TopicModel
from octis_m3l.models.m3l_contrast import M3LContrastNetwork, M3LContrastSettings
from octis_m3l.models.storage import MARKER

from .contract import (
    TOP_WORDS,
    NeuralModelContract,
    assert_distributions,
    assert_same,
    refused,
    with_few_items,
)

TOPICS = 4
TUPLES = 6
SAMPLES = 5
DIMENSIONS = {"en": 5, "de": 7, "image": 3}
VOCABULARIES = {"en": 9, "de": 8}
VIEWS = [("en", "de"), ("en", "image"), ("en", "de", "image")]
PRESETS = ("default", "0.1", "paper", "released-multilingual", "released-m3l")
# Which tuples have an item of the view; the first and the fourth have all.
PRESENT = {"en": [0, 1, 3, 4, 5], "de": [0, 2, 3, 5], "image": [0, 1, 2, 3]}


class TestM3LContrastOfVersion01(NeuralModelContract):
    model = M3LContrast
    needs_links = True
    watches_validation = True
    settings: ClassVar = {"preset": "0.1"}


class TestM3LContrast(NeuralModelContract):
    model = M3LContrast
    needs_links = True
    watches_validation = True

    def test_descriptions_of_other_models(self, saved: Path) -> None:
        described = read_json(saved / MARKER)
        described["network"]["dimensions"]["en"] = 10**13
        write_json(saved / MARKER, described, checked=True)
        message = "those of other views that share its network 10000000000000;"
        refused(DataError, message, self.model.load, saved)


# What it learns.


@cache
def of_seed(model: type[TopicModel], seed: int) -> tuple[Planted, ModelOutput]:
    """Return five themes in two languages and pictures, and what a model learns from them."""
    missing = {"de": 0.1, IMAGE: 0.2}
    data = planted(themes=5, tuples=400, missing=missing, concentration=0.1, seed=seed)
    dataset = in_unrelated_spaces(data.dataset, seed)
    loop = {"epochs": 20, "learning_rate": 1e-2, "batch_size": 64}
    output = model(num_topics=10, seed=seed, **loop).train_model(dataset)
    return data, output


def test_finds_the_planted_topics_in_every_language() -> None:
    def finds(seed: int) -> None:
        data, output = of_seed(M3LContrast, seed)
        topics = {language: output.topics(language) for language in data.words}
        found = set()
        for theme in range(5):
            shared = [
                min(len(of[theme] & set(topics[name][k][:6])) for name, of in data.words.items())
                for k in range(10)
            ]
            assert max(shared) >= 5, f"theme {theme}: {topics}"
            found.add(int(np.argmax(shared)))
        assert len(found) == 5

    holds_for_most_seeds(finds)


def test_languages_and_pictures_find_each_other() -> None:
    def finds(seed: int) -> None:
        data, output = of_seed(M3LContrast, seed)
        _, alone = of_seed(ZeroshotTM, seed)
        for query, target in (("en", "de"), ("de", "en")):
            metric = MRR(data.dataset, query, target)
            assert metric.score(output) > 4 * metric.chance()
            assert metric.score(output) > 1.5 * metric.score(alone)
        for query, target in ((IMAGE, "en"), (IMAGE, "de"), ("en", IMAGE), ("de", IMAGE)):
            of_pictures = UAP(data.dataset, query, target)
            assert of_pictures.score(output) > 3 * of_pictures.chance()

    holds_for_most_seeds(finds)


# Presets and settings.


COMMON = {
    **{"posterior": "ctm", "prior": "fixed", "activation": "softplus", "schedule": "constant"},
    **{"temperature": 0.07, "dropout": 0.2, "learning_rate": 2e-3, "contrastive_samples": 1},
    **{"momentum": 0.99, "second_momentum": 0.99, "inference_samples": 20},
    **{"hidden_size": 100, "batch_size": 32, "epochs": 100, "updates": 0},
    **{"shared_networks": "none", "standardised": "own-view", "input_noise": 0.0},
    **{"topic_form": "beta", "theta_dropout": 0.2, "average": "present"},
}
COLUMNS = [
    "prior_weight",
    "alignment_weight",
    "alignment",
    "similarity",
    "negatives",
    "contrastive_weight",
    "hidden_layers",
]


@pytest.mark.parametrize(
    ("preset", "values"),
    [
        ("paper", (0.0, 1.0, "all-pairs", "dot", "other-view", 100.0, 1)),
        ("released-multilingual", (0.0, 0.01, "one-way", "cosine", "both-views", 50.0, 2)),
        ("released-m3l", (0.01, 0.0, "one-way", "cosine", "both-views", 50.0, 2)),
    ],
)
def test_presets_are_those_of_the_table(preset: str, values: tuple[Any, ...]) -> None:
    expected = COMMON | dict(zip(COLUMNS, values, strict=True))
    assert expected.items() <= M3LContrast(preset=preset).hyperparameters.items()


def test_the_default_of_version_0_1_is_that_of_then() -> None:
    of_then = {
        **{"temperature": 0.1, "contrastive_weight": 5.0, "prior_weight": 0.5},
        **{"alignment_weight": 0.0, "alignment": "all-pairs", "similarity": "cosine"},
        **{"negatives": "both-views", "contrastive_samples": 4, "average": "pooled"},
        **{"shared_networks": "none", "standardised": "own-view", "input_noise": 0.0},
        **{"topic_form": "beta", "relevance": 0.0, "theta_dropout": 0.1, "dropout": 0.2},
        **{"posterior": "free-variance", "prior": "fixed", "activation": "softplus"},
        **{"hidden_size": 300, "hidden_layers": 1, "num_topics": 50, "dimensions": 150},
        **{"batch_size": 32, "epochs": 60, "updates": 0, "learning_rate": 5e-3},
        **{"schedule": "cosine", "momentum": 0.9, "second_momentum": 0.99, "weight_decay": 0.0},
        **{"patience": 0, "inference_samples": 20, "seed": 0, "threads": 0, "device": "auto"},
        # What is not the preset's: it does not choose encoders.
        **{"encoder": "auto", "preset": "0.1"},
    }
    assert M3LContrast(preset="0.1").hyperparameters == of_then


def test_presets_give_way_to_what_is_given(planted_data: Planted, tmp_path: Path) -> None:
    model = M3LContrast(preset="paper", temperature=0.5, hidden_size=12)
    paper = M3LContrast(preset="paper").hyperparameters
    given: dict[str, Any] = {"temperature": 0.5, "hidden_size": 12}
    assert model.hyperparameters == paper | given
    model.set_hyperparameters(preset="released-m3l")
    released = M3LContrast(preset="released-m3l").hyperparameters
    assert model.hyperparameters == released | given
    model.set_hyperparameters(num_topics=4, epochs=2)
    output = model.train_model(planted_data.dataset, {"preset": "paper"}, TOP_WORDS)
    fresh = M3LContrast(preset="paper", num_topics=4, epochs=2, **given)
    assert_same(output, fresh.train_model(planted_data.dataset, top_words=TOP_WORDS))
    fresh.save(tmp_path / "model")
    loaded = M3LContrast.load(tmp_path / "model")
    assert loaded.hyperparameters == fresh.hyperparameters
    loaded.set_hyperparameters(preset="released-m3l")
    assert loaded.hyperparameters == model.hyperparameters
    message = "m3l-contrast: preset='papers': it should be 'def"
    refused(SettingsError, message, M3LContrast, preset="papers")


@pytest.mark.parametrize("name", ["half", "to", "a-b", "type"])
def test_views_may_have_any_name(name: str, planted_data: Planted, tmp_path: Path) -> None:
    views = planted_data.dataset.text_views
    texts = {n: list(views[v].items(slice(0, 60))) for n, v in (("en", "en"), (name, "de"))}
    preprocessing = {n: TextPreprocessor(tokenizer="whitespace") for n in texts}
    dataset = MultiviewDataset.from_lists(texts, preprocessing=preprocessing, split=(0.8, 0.1))
    model = M3LContrast(num_topics=3, epochs=1).fit(dataset, top_words=3)
    model.save(tmp_path / "model")
    dataset.save(tmp_path / "data")
    again = M3LContrast.load(tmp_path / "model")
    np.testing.assert_array_equal(again.infer(["de_sea_1"], name), model.infer(["de_sea_1"], name))
    assert list(MultiviewDataset.from_folder(tmp_path / "data").views) == ["en", name]


def _tied() -> MultiviewDataset:
    """Return texts of which more than half are tied together, by a picture say."""
    letters = "abcdefghij"
    words = [f"{a}{b}{c}x" for a in letters for b in letters for c in letters[:2]]
    texts = {name: [f"{name}{word} {name}sea" for word in words] for name in ("en", "de")}
    group = ["same"] * 110 + [str(number) for number in range(90)]
    return MultiviewDataset.from_lists(texts, group=group)


def test_settings_and_data_that_do_not_fit_are_warned_of(data: MultiviewDataset) -> None:
    few = data.with_views(["en", "de"]).sample(20)
    links = data.links.copy()
    links[:, list(data.views).index("de")] = -1
    loose = MultiviewDataset(data.views.values(), links)
    short = {"epochs": 1, "encoder": "lsa"}
    cases: list[tuple[MultiviewDataset, dict[str, Any], str]] = [
        (data, {"num_topics": 50, "epochs": 1}, r"^num_topics=50 for \d\d training documents: mos"),
        (loose, short, "no training item of view 'de' is linked to another view"),
        (with_few_items(data, "de", 1, 0, 3), short, r"view 'de' has 1 training item\(s\), and a"),
        (_tied(), short, r"^one tuple holds \d+ items, and an epoch draws one of"),
    ]
    for dataset, settings, message in cases:
        with pytest.warns(UserWarning, match=message):
            M3LContrast(**{"num_topics": 3} | settings).train_model(dataset, top_words=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        M3LContrast(num_topics=3, epochs=1).train_model(data)
    model, message = M3LContrast(3, batch_size=32), "batch_size=32 is larger than the data"
    refused(DataError, f"{message}: 24 tuples", model.train_model, few)
    texts = data.with_views(["en", "de"])
    starts = [view.sizes[0] for view in texts.views.values()]
    held_out = texts.links[(texts.links >= starts).all(axis=1)]
    assert len(held_out)
    loose = MultiviewDataset(texts.views.values(), held_out)
    message = "has 2 view(s) and no links between training items;"
    refused(DataError, message, M3LContrast(3).train_model, loose)


def test_views_of_a_modality_share_a_network(embedded: MultiviewDataset) -> None:
    settings: dict[str, Any] = {"num_topics": 4, "epochs": 1, "batch_size": 16}
    of_modality = {**settings, "shared_networks": "modality"}
    own = {**settings, "shared_networks": "none"}
    model: Any = M3LContrast(**of_modality, standardised="none")
    assert_distributions(model.train_model(embedded, top_words=TOP_WORDS))
    assert set(model.network.networks) == {"texts", "images"}
    german: Any = embedded.view("de").embeddings
    given = torch.from_numpy(german[:5])
    assert torch.equal(model.network.standardisers["de"](given), given)

    shorter = embedded.with_embeddings({"de": german[:, :10]}, order="stored")
    message = (
        "embeddings of 'de' have 10 dimensions, those of other views that share its network 12; "
        "use one encoder for all of them, or let each view have its own network "
        "(shared_networks='none')."
    )
    refused(DataError, message, M3LContrast(**of_modality).train_model, shorter)
    separate: Any = M3LContrast(**own)
    assert_distributions(separate.train_model(shorter, top_words=TOP_WORDS))
    assert set(separate.network.networks) == {"en", "de", "image"}
    assert not torch.equal(separate.network.standardisers["en"](given), given)


SHARED: dict[str, Any] = {"num_topics": 4, "epochs": 1, "batch_size": 16, "hidden_size": 12}


def test_views_of_one_encoder_share_a_network(
    data: MultiviewDataset, embedded: MultiviewDataset
) -> None:
    model: Any = M3LContrast(**SHARED)
    output = model.train_model(data, top_words=TOP_WORDS)
    assert_distributions(output)
    network = model.network
    assert network.network_of == {"en": "en", "de": "en", "image": "image"}
    assert set(network.networks) == {"en", "image"}
    separate: Any = M3LContrast(**{**SHARED, "shared_networks": "none"})
    separate.train_model(data, top_words=TOP_WORDS)
    one = sum(p.numel() for p in separate.network.networks["de"].parameters())
    assert parameters_of(separate) - parameters_of(model) == one > 0

    vectors = torch.ones(2, network.shape["dimensions"]["en"])
    network.standardisers["de"].load_state_dict(network.standardisers["en"].state_dict())
    for english, german in zip(
        network.posterior("en", vectors), network.posterior("de", vectors), strict=True
    ):
        assert torch.equal(english, german)

    # Embeddings of which nothing is known, and LSA's spaces, one for each language.
    for dataset, encoder in ((embedded, "given"), (data, "lsa")):
        model = M3LContrast(**SHARED, encoder=encoder)
        shared = model.train_model(dataset, top_words=TOP_WORDS)
        assert set(model.network.networks) == {"en", "de", "image"}
        separate = M3LContrast(**{**SHARED, "shared_networks": "none"}, encoder=encoder)
        assert_same(separate.train_model(dataset, top_words=TOP_WORDS), shared)

    # Of one name: in one space if they have the same number of dimensions.
    vectors_of: dict[str, Any] = {n: embedded.view(n).embeddings for n in ("en", "de")}
    for dimensions, networks in ((12, {"en", "image"}), (10, {"en", "de", "image"})):
        vectors_of["de"] = vectors_of["de"][:, :dimensions]
        named = embedded.with_embeddings(vectors_of, name="labse", order="stored")
        model = M3LContrast(**SHARED)
        assert_distributions(model.train_model(named, top_words=TOP_WORDS))
        assert set(model.network.networks) == networks


def parameters_of(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.network.parameters())


def test_a_saved_model_keeps_its_shared_networks(data: MultiviewDataset, tmp_path: Path) -> None:
    model, texts = M3LContrast(**SHARED), ["de_sea_1 de_sea_2", "de_forest_1"]
    model.train_model(data, top_words=TOP_WORDS)
    model.save(tmp_path / "model")
    described = read_json(tmp_path / "model" / MARKER)
    assert described["network"]["network_of"] == {"en": "en", "de": "en", "image": "image"}
    loaded: Any = load_model(tmp_path / "model")
    assert set(loaded.network.networks) == {"en", "image"}
    assert_same(loaded.output, model.output)
    np.testing.assert_array_equal(loaded.infer(texts, "de"), model.infer(texts, "de"))
    loaded.save(tmp_path / "again")
    assert read_json(tmp_path / "again" / MARKER)["network"] == described["network"]
    forged: list[Any] = [
        {"en": "en", "de": "de", "image": "image"},
        {"en": "en", "de": "en"},
        {"en": "en", "de": "en", "image": "image", "fr": "en"},
        {"en": "en", "de": "en", "image": "en"},
        {"en": "en", "de": ["en"], "image": "image"},
        ["en", "de", "image"],
        None,
        7,
    ]
    for network_of in forged:
        network = {**described["network"], "network_of": network_of}
        write_json(tmp_path / "model" / MARKER, {**described, "network": network}, checked=True)
        with pytest.raises(OctisM3LError):
            load_model(tmp_path / "model")


# The loss, beside a plain transcription.


Case = tuple[M3LContrastNetwork, Batch]


def draw(random: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=random, dtype=torch.float64)


def make_case(
    views: tuple[str, ...],
    *,
    gaps: bool,
    dimensions: dict[str, int] = DIMENSIONS,
    network_of: dict[str, str] | None = None,
    **settings: Any,
) -> Case:
    """Return a network and a batch."""
    random = torch.Generator().manual_seed(7)
    chosen = {"num_topics": TOPICS, "hidden_size": 6, "dropout": 0.0, "theta_dropout": 0.0}
    checked = M3LContrastSettings.checked({**chosen, **settings}, "m3l-contrast")
    network = M3LContrastNetwork(dimensions, VOCABULARIES, checked, network_of).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(draw(random, *parameter.shape) / 3)
        standardisers: Any = network.standardisers.values()
        for standardiser in standardisers:
            standardiser.mean.copy_(draw(random, *standardiser.mean.shape))
            standardiser.scale.copy_(draw(random, *standardiser.scale.shape).abs() + 0.1)
        # In double precision, too.
        network.prior.scale.fill_(math.log(1 - 1 / TOPICS))
    has = {name: set(PRESENT[name] if gaps else range(TUPLES)) for name in views}
    listed = {}
    for name in views:
        rows, words = torch.tensor(sorted(has[name])), None
        vectors = draw(random, len(rows), dimensions[name])
        if name in VOCABULARIES:
            counts = torch.randint(0, 3, (len(rows), VOCABULARIES[name]), generator=random)
            counts[:, 0] += 1
            words = sparse_rows(counts.double())
        listed[name] = ViewBatch(rows + 10, rows if gaps else None, vectors, words)
    # The batch is all the data there is.
    texts = [len(has[name]) / TUPLES for name in views if name in VOCABULARIES]
    items = [len(has[name]) / TUPLES for name in views]
    pairs = [len(has[a] & has[b]) / TUPLES for a, b in combinations(views, 2) if has[a] & has[b]]
    shares = [float(np.mean(some or [1.0])) for some in (texts, items, pairs)]
    return network.train(), Batch(TUPLES, listed, *shares)


def losses(case: Case) -> dict[str, Tensor]:
    network, batch = case
    torch.manual_seed(1)
    return network.loss(batch)


def plain_loss(case: Case) -> dict[str, Tensor]:
    """Return the terms of the loss plainly: by row, view and pair, in loops."""
    network, batch = case
    settings, names = network.settings, list(batch.views)
    sizes = [len(view.items) for view in batch.views.values()]
    # The noise of each view's inputs, one sample of θ of all views, then all further ones.
    torch.manual_seed(1)
    inputs = {n: plain_inputs(network, n, view.embeddings) for n, view in batch.views.items()}
    posteriors = plain_posteriors(network, inputs)
    several = [torch.randn(1, sum(sizes), TOPICS, dtype=torch.float64)]
    further = settings.contrastive_samples - 1
    several.append(torch.randn(further, sum(sizes), TOPICS, dtype=torch.float64))
    noise = dict(zip(names, torch.cat(several).split(sizes, dim=1), strict=True))
    lost: dict[str, list[Tensor]] = {"reconstruction": [], "prior": []}
    mean, log_variance, theta = {}, {}, {}
    for name, view in batch.views.items():
        rows = range(TUPLES) if view.rows is None else view.rows.tolist()
        means, log_variances = posteriors[name]
        samples = (means + (log_variances / 2).exp() * noise[name]).softmax(2)
        mean[name] = dict(zip(rows, means, strict=True))
        log_variance[name] = dict(zip(rows, log_variances, strict=True))
        theta[name] = dict(zip(rows, samples.mean(dim=0), strict=True))
        if view.words is not None:
            logits = normalised(samples[0] @ network.decoders[name].beta)  # type: ignore[operator]
            counts = view.words.dense(VOCABULARIES[name])
            lost["reconstruction"].append(reconstruction(logits, counts))
        lost["prior"].append(settings.prior_weight * from_prior(means, log_variances))
    shares = {"reconstruction": batch.text_share, "prior": batch.item_share}
    averaged: dict[str, Any] = {"average": settings.average, "rows": TUPLES}
    terms = {
        name: torch.stack([plain_mean(list(o), **averaged, share=shares[name]) for o in of]).sum()
        for name, of in lost.items()
    }
    averaged["share"] = batch.pair_share
    kind = settings.temperature, settings.similarity, settings.negatives
    contrast = plain_info_nce(theta, *kind, **averaged)
    aligned = plain_kl(mean, log_variance, **averaged, pairs=settings.alignment)
    return terms | {
        "contrast": settings.contrastive_weight * contrast,
        "alignment": settings.alignment_weight * aligned,
    }


def plain_inputs(network: M3LContrastNetwork, name: str, embeddings: Tensor) -> Tensor:
    """Return what the networks read of a view's embeddings, row by row."""
    standardiser: Any = network.standardisers[name]
    rows = []
    for row in (embeddings - standardiser.mean) * standardiser.scale:
        if network.settings.standardised == "one-length":
            row = math.sqrt(len(row)) * row / row.square().sum().sqrt()
        rows.append(row)
    inputs = torch.stack(rows)
    if network.settings.input_noise:
        noise = torch.randn(inputs.shape, dtype=torch.float64)
        inputs = inputs + network.settings.input_noise * math.sqrt(inputs.shape[1] / 150) * noise
    return inputs


def plain_posteriors(
    network: M3LContrastNetwork, inputs: dict[str, Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return μ and log σ² of each view; those of one network are batch-normalised together."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for shared in set(network.network_of.values()):
        names = [name for name in inputs if network.network_of[name] == shared]
        if not names:
            continue
        posterior = plain_posterior(network, shared, torch.cat([inputs[name] for name in names]))
        start = 0
        for name in names:
            end = start + len(inputs[name])
            found[name] = posterior[0][start:end], posterior[1][start:end]
            start = end
    return found


def plain_posterior(
    network: M3LContrastNetwork, shared: str, hidden: Tensor
) -> tuple[Tensor, Tensor]:
    inference: Any = network.networks[shared]
    layers = [inference.input_layer, *(layer[0] for layer in inference.hiddens)]
    assert len(layers) == network.settings.hidden_layers
    for layer in layers:
        hidden = softplus(hidden @ layer.weight.T + layer.bias)
    mean = normalised(hidden @ inference.f_mu.weight.T + inference.f_mu.bias)
    log_variance = hidden @ inference.f_sigma.weight.T + inference.f_sigma.bias
    if network.settings.posterior == "ctm":
        log_variance = normalised(log_variance)
    else:
        log_variance = 6 * (log_variance / 6).tanh()
    if network.settings.posterior == "free":
        mean = mean * inference.f_mu_batchnorm.weight + inference.f_mu_batchnorm.bias
    return mean, log_variance


def assert_equal_loss_and_gradients(case: Case) -> None:
    ours, plain = losses(case), plain_loss(case)
    for name in plain:
        ours_of_it = ours.get(name, torch.zeros((), dtype=torch.float64))
        torch.testing.assert_close(ours_of_it, plain[name], rtol=1e-6, atol=1e-9)
    parameters = dict(case[0].named_parameters())
    gradients = [
        torch.autograd.grad(
            sum(terms.values(), torch.zeros(())), list(parameters.values()), allow_unused=True
        )
        for terms in (ours, plain)
    ]
    moved = used = 0
    for name, one, other in zip(parameters, *gradients, strict=True):
        assert (one is None) == (other is None), name
        if one is not None and other is not None:
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-9, msg=name)
            used += 1
            moved += int(one.abs().max() > 1e-6)
    assert moved >= used / 2


@pytest.mark.parametrize("average_over", ["present", "pooled", "batch"])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("views", VIEWS)
@pytest.mark.parametrize("preset", PRESETS)
def test_loss_and_gradients_of_presets(
    preset: str, views: tuple[str, ...], gaps: bool, average_over: str
) -> None:
    case = make_case(views, gaps=gaps, preset=preset, average=average_over)
    assert_equal_loss_and_gradients(case)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"negatives": "printed", "similarity": "dot", "temperature": 0.5},
        {"negatives": "printed", "similarity": "cosine"},
        {"negatives": "both-views", "similarity": "dot", "contrastive_samples": 1},
        {"negatives": "other-view", "similarity": "cosine", "contrastive_samples": SAMPLES},
        {"alignment_weight": 3.0, "alignment": "one-way", "posterior": "free"},
        {"contrastive_weight": 0.0, "alignment_weight": 2.0, "hidden_layers": 3},
        {"standardised": "none", "input_noise": 0.0, "shared_networks": "none"},
    ],
)
def test_loss_and_gradients_of_other_settings(settings: dict[str, Any], gaps: bool) -> None:
    assert_equal_loss_and_gradients(make_case(("en", "de", "image"), gaps=gaps, **settings))


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("posterior", ["ctm", "free-variance"])
@pytest.mark.parametrize(
    ("views", "network_of"),
    [
        (("en", "de"), {"en": "en", "de": "en", "image": "image"}),
        (("de", "image", "en"), {"en": "en", "de": "en", "image": "image"}),
        (("image", "en", "de"), {"en": "en", "de": "de", "image": "en"}),
        (("en", "de", "image"), {"en": "en", "de": "en", "image": "en"}),
    ],
)
def test_loss_and_gradients_with_shared_networks(
    views: tuple[str, ...], network_of: dict[str, str], posterior: str, gaps: bool
) -> None:
    dimensions = {"en": 5, "de": 5, "image": 5}
    options: dict[str, Any] = {"posterior": posterior, "alignment_weight": 1.0}
    case = make_case(views, gaps=gaps, dimensions=dimensions, network_of=network_of, **options)
    assert set(case[0].networks) == set(network_of.values())
    assert_equal_loss_and_gradients(case)


def test_dropout_of_topics_is_for_decoding_alone() -> None:
    # A second sample would come after the noise of the dropout.
    settings: dict[str, Any] = {"alignment_weight": 1.0, "gaps": True, "contrastive_samples": 1}
    some = losses(make_case(("en", "de", "image"), theta_dropout=0.9, **settings))
    none = losses(make_case(("en", "de", "image"), theta_dropout=0.0, **settings))
    for name in ("prior", "contrast", "alignment"):
        assert torch.equal(some[name], none[name])
    assert not torch.isclose(some["reconstruction"], none["reconstruction"])


def test_views_without_common_tuples_have_no_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESENT, "en", [0, 1, 3])
    monkeypatch.setitem(PRESENT, "de", [2, 4])
    case = make_case(("en", "de"), gaps=True, alignment_weight=1.0)
    assert_equal_loss_and_gradients(case)
    assert losses(case)["contrast"].item() == 0


def test_the_preset_of_a_version_may_be_read_as_a_number() -> None:
    assert M3LContrast(preset=0.1).hyperparameters == M3LContrast(preset="0.1").hyperparameters


def test_no_noise_is_added_to_inputs_that_are_not_standardised() -> None:
    # Noise of the size of standardised values would drown vectors of length 1.
    for standardised, noise in (("none", 0.0), ("one-length", 1.2), ("own-view", 1.2)):
        settings = M3LContrastSettings.checked({"standardised": standardised}, "m3l-contrast")
        dimensions = dict.fromkeys(DIMENSIONS, 200)
        network: Any = M3LContrastNetwork(dimensions, VOCABULARIES, settings)
        assert {one.noise for one in network.standardisers.values()} == {noise}
