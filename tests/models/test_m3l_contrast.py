"""M3L-Contrast: the contract, planted topics, and the loss beside a plain transcription of it."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import IMAGE, Planted, holds_for_most_seeds, planted
from sparse_rows import sparse_rows
from torch import Tensor
from torch.nn.functional import softplus

from octis_m3l.data.batches import Batch, ViewBatch
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import MRR, UAP
from octis_m3l.models import (
    NMTM,
    PLTM,
    M3LContrast,
    ModelOutput,
    ZeroshotTM,
    ZeroshotTMKD,
    m3l_contrast,
)
from octis_m3l.models.m3l_contrast import M3LContrastNetwork, M3LContrastSettings
from octis_m3l.networks import inference

from .contract import (
    TOP_WORDS,
    NeuralModelContract,
    assert_distributions,
    assert_same,
    with_few_items,
)
from .plain import divergence, normalised

TOPICS = 4
TUPLES = 6
SAMPLES = 5
DIMENSIONS = {"en": 5, "de": 7, "image": 3}
VOCABULARIES = {"en": 9, "de": 8}
VIEWS = [("en", "de"), ("en", "image"), ("en", "de", "image")]
PRESETS = ("default", "paper", "released-multilingual", "released-m3l")
# Which tuples have an item of the view; the first and the fourth have all.
PRESENT = {"en": [0, 1, 3, 4, 5], "de": [0, 2, 3, 5], "image": [0, 1, 2, 3]}


class TestM3LContrast(NeuralModelContract):
    model = M3LContrast
    needs_links = True


# What it learns.


@pytest.fixture(scope="module")
def themes() -> Planted:
    return planted(themes=5, tuples=500, missing={"de": 0.1, IMAGE: 0.2}, concentration=0.2)


@pytest.fixture(scope="module")
def learned(themes: Planted) -> ModelOutput:
    return trained_on_lsa(M3LContrast, themes)


def trained_on_lsa(model: Any, data: Planted, seed: int = 0) -> ModelOutput:
    """Train on encoders whose spaces have nothing in common."""
    settings = {"encoder": "lsa", "dimensions": 20, "num_topics": len(data.words["en"])}
    loop = {"epochs": 40, "learning_rate": 5e-3, "batch_size": 32}
    output: ModelOutput = model(**settings, **loop, seed=seed).train_model(data.dataset)
    return output


def test_finds_the_planted_topics_in_every_language(themes: Planted, learned: ModelOutput) -> None:
    def finds(seed: int) -> None:
        output = trained_on_lsa(M3LContrast, themes, seed) if seed else learned
        topics = {language: output.topics(language) for language in themes.words}
        found = set()
        for theme in range(5):
            shared = [
                min(len(of[theme] & set(topics[name][k][:6])) for name, of in themes.words.items())
                for k in range(5)
            ]
            assert max(shared) >= 5, f"theme {theme}: {topics}"
            found.add(int(np.argmax(shared)))
        assert found == set(range(5))

    holds_for_most_seeds(finds)


def test_languages_and_pictures_find_each_other(themes: Planted, learned: ModelOutput) -> None:
    alone = trained_on_lsa(ZeroshotTM, themes)
    for query, target in (("en", "de"), ("de", "en")):
        metric = MRR(themes.dataset, query, target)
        assert metric.score(learned) > 5 * metric.chance()
        assert metric.score(learned) > 1.5 * metric.score(alone)
    for query, target in ((IMAGE, "en"), (IMAGE, "de"), ("en", IMAGE), ("de", IMAGE)):
        of_pictures = UAP(themes.dataset, query, target)
        assert of_pictures.score(learned) > 4 * of_pictures.chance()


# Presets and settings.


TABLE = {
    "paper": (0.0, 1.0, "all-pairs", "dot", "other-view", 100.0, 1),
    "released-multilingual": (0.0, 0.01, "one-way", "cosine", "both-views", 50.0, 2),
    "released-m3l": (0.01, 0.0, "one-way", "cosine", "both-views", 50.0, 2),
}
COLUMNS = (
    *("prior_weight", "alignment_weight", "alignment", "similarity", "negatives"),
    *("contrastive_weight", "hidden_layers"),
)


@pytest.mark.parametrize("preset", TABLE)
def test_presets_are_those_of_the_table(preset: str) -> None:
    common = {
        "temperature": 0.07,
        "posterior": "ctm",
        "prior": "fixed",
        "hidden_size": 100,
        "activation": "softplus",
        "dropout": 0.2,
        "batch_size": 32,
        "epochs": 100,
        "learning_rate": 2e-3,
        "momentum": 0.99,
        "second_momentum": 0.99,
        "inference_samples": 20,
        "contrastive_samples": 1,
        "schedule": "constant",
    }
    settings = M3LContrast(preset=preset).hyperparameters
    expected = common | dict(zip(COLUMNS, TABLE[preset], strict=True))
    assert {name: settings[name] for name in expected} == expected


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
    with pytest.raises(SettingsError, match="m3l-contrast: preset='papers': Input should be 'def"):
        M3LContrast(preset="papers")


@pytest.mark.parametrize("name", ["half", "to", "a-b", "type"])
def test_views_may_have_any_name(name: str, planted_data: Planted, tmp_path: Path) -> None:
    texts = {
        {"de": name}.get(n, n): list(v.items(slice(0, 60)))
        for n, v in planted_data.dataset.text_views.items()
    }
    preprocessing = {n: TextPreprocessor(tokenizer="whitespace") for n in texts}
    dataset = MultiviewDataset.from_lists(texts, preprocessing=preprocessing, split=(0.8, 0.1))
    model = M3LContrast(num_topics=3, epochs=1).fit(dataset, top_words=3)
    model.save(tmp_path / "model")
    dataset.save(tmp_path / "data")
    again = M3LContrast.load(tmp_path / "model")
    np.testing.assert_array_equal(again.infer(["de_sea_1"], name), model.infer(["de_sea_1"], name))
    assert list(MultiviewDataset.from_folder(tmp_path / "data").views) == ["en", name]


def test_a_picture_that_ties_all_records_together_is_warned_of() -> None:
    letters = "abcdefghij"
    words = [f"{a}{b}{c}x" for a in letters for b in letters for c in letters[:2]]
    texts = {name: [f"{name}{word} {name}sea" for word in words] for name in ("en", "de")}
    group = ["same"] * 110 + [str(number) for number in range(90)]
    dataset = MultiviewDataset.from_lists(texts, group=group)
    with pytest.warns(UserWarning, match=r"^one tuple holds \d+ items, and an epoch draws one of"):
        M3LContrast(num_topics=2, epochs=1, encoder="lsa").train_model(dataset, top_words=2)


def test_settings_that_fit_the_data_badly_are_warned_of(planted_data: Planted) -> None:
    data = planted_data.dataset
    few = data.with_views(["en", "de"]).sample(20)
    updates = r"^{} epochs of \d batches are \d+ updates, too few to tell topics apart"
    paper = {"num_topics": 3, "preset": "paper", "hidden_size": 8}
    cases: list[tuple[MultiviewDataset, dict[str, Any], str]] = [
        (data, {"num_topics": 3}, updates.format(60)),
        # What a preset sets, the user has not.
        (few, paper, updates.format(100)),
        (data, {"num_topics": 50, "epochs": 1}, r"^num_topics=50 for \d\d training documents: mos"),
    ]
    for dataset, settings, message in cases:
        with pytest.warns(UserWarning, match=message):
            M3LContrast(**settings).train_model(dataset, top_words=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        M3LContrast(num_topics=3, epochs=1).train_model(data, top_words=3)
    with pytest.raises(DataError, match=r"batch_size=32 is larger than the data: 24 tuples"):
        M3LContrast(**paper, batch_size=32, epochs=1).train_model(few, top_words=3)


def test_views_that_can_hardly_learn_are_warned_of(planted_data: Planted) -> None:
    dataset = planted_data.dataset
    links = dataset.links.copy()
    links[:, list(dataset.views).index("de")] = -1
    loose = MultiviewDataset(dataset.views.values(), links)
    rare = with_few_items(dataset, "de", {"train": 1, "validation": 0, "test": 3})
    for data, message in (
        (loose, "no training item of view 'de' is linked to another view"),
        (rare, r"view 'de' has 1 training item\(s\), and a batch needs"),
    ):
        with pytest.warns(UserWarning, match=message):
            M3LContrast(num_topics=3, epochs=1, encoder="lsa").train_model(data, top_words=3)


def test_number_of_topics_needs_no_name() -> None:
    for model in (M3LContrast, ZeroshotTMKD, NMTM, PLTM):
        assert model(7).hyperparameters == model(num_topics=7).hyperparameters


def test_views_of_a_modality_share_a_network(embedded: MultiviewDataset) -> None:
    settings: dict[str, Any] = {"num_topics": 4, "epochs": 1, "batch_size": 16}
    of_modality = {**settings, "shared_networks": "modality"}
    model: Any = M3LContrast(**of_modality, standardised="none")
    assert_distributions(model.train_model(embedded, top_words=TOP_WORDS))
    assert set(model.network.networks) == {"texts", "images"}
    german: Any = embedded.view("de").embeddings
    given = torch.from_numpy(german[:5])
    assert torch.equal(model.network.standardisers["de"](given), given)

    shorter = embedded.with_embeddings({"de": german[:, :10]}, order="stored")
    with pytest.raises(DataError) as raised:
        M3LContrast(**of_modality).train_model(shorter, top_words=TOP_WORDS)
    assert str(raised.value) == (
        "shared_networks='modality': embeddings of 'de' have 10 dimensions, others of its modality "
        "12; use one encoder for them, or shared_networks='none'."
    )
    separate: Any = M3LContrast(**settings)
    assert_distributions(separate.train_model(shorter, top_words=TOP_WORDS))
    assert set(separate.network.networks) == {"en", "de", "image"}
    assert not torch.equal(separate.network.standardisers["en"](given), given)


# The loss, beside a plain transcription.


@dataclass
class Case:
    """A network, a batch, and the noise of all samples that both computations see."""

    network: M3LContrastNetwork
    batch: Batch
    noise: dict[str, Tensor]


def make_case(views: tuple[str, ...], *, gaps: bool, **settings: Any) -> Case:
    random = torch.Generator().manual_seed(7)
    chosen = {"num_topics": TOPICS, "hidden_size": 6, "dropout": 0.0, "theta_dropout": 0.0}
    network = M3LContrastNetwork(
        DIMENSIONS,
        VOCABULARIES,
        M3LContrastSettings.checked({**chosen, **settings}, "m3l-contrast"),
    ).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(draw(random, *parameter.shape) / 3)
        standardisers: Any = network.standardisers.values()
        for standardiser in standardisers:
            standardiser.mean.copy_(draw(random, *standardiser.mean.shape))
            standardiser.scale.copy_(draw(random, *standardiser.scale.shape).abs() + 0.1)
    listed = {}
    for name in views:
        rows = PRESENT[name] if gaps else list(range(TUPLES))
        listed[name] = ViewBatch(
            torch.tensor(rows) + 10,
            torch.tensor(rows) if gaps else None,
            draw(random, len(rows), DIMENSIONS[name]),
            None,
        )
        if name in VOCABULARIES:
            counts = torch.randint(0, 3, (len(rows), VOCABULARIES[name]), generator=random)
            counts[:, 0] += 1
            listed[name] = replace(listed[name], words=sparse_rows(counts.double()))
    noise = {name: draw(random, SAMPLES, len(v.items), TOPICS) for name, v in listed.items()}
    # The batch is all the data there is.
    has = {name: set(PRESENT[name] if gaps else range(TUPLES)) for name in views}
    texts = [len(has[name]) / TUPLES for name in views if name in VOCABULARIES]
    items = [len(has[name]) / TUPLES for name in views]
    pairs = [len(has[a] & has[b]) / TUPLES for a, b in combinations(views, 2) if has[a] & has[b]]
    shares = [float(np.mean(some or [1.0])) for some in (texts, items, pairs)]
    return Case(network.train(), Batch(TUPLES, listed, *shares), noise)


def draw(random: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=random, dtype=torch.float64)


def losses(case: Case, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Return the network's terms, with the case's noise."""
    noise = list(torch.cat([case.noise[name] for name in case.batch.views], dim=1))

    def sample(mean: Tensor, log_variance: Tensor) -> Tensor:
        several = mean if mean.ndim == 3 else mean[None]
        taken = torch.stack([noise.pop(0) for _ in several])
        drawn = (mean + (log_variance / 2).exp() * taken).softmax(dim=-1)
        return drawn if mean.ndim == 3 else drawn[0]

    for module in (m3l_contrast, inference):
        monkeypatch.setattr(module, "sample_topics", sample)
    return case.network.loss(case.batch)


def plain_loss(case: Case) -> dict[str, Tensor]:
    """Return the terms of the loss plainly: by row, view and pair, in loops."""
    settings = case.network.settings
    views = list(case.batch.views)
    summed: dict[str, list[list[Tensor]]] = {
        name: [] for name in ("reconstruction", "prior", "contrast", "alignment")
    }
    mean: dict[str, dict[int, Tensor]] = {}
    log_variance: dict[str, dict[int, Tensor]] = {}
    theta: dict[str, dict[int, Tensor]] = {}
    for name, view in case.batch.views.items():
        rows = range(TUPLES) if view.rows is None else view.rows.tolist()
        means, log_variances = plain_posterior(case.network, name, view.embeddings)
        samples = [
            (means + (log_variances / 2).exp() * noise).softmax(1) for noise in case.noise[name]
        ]
        contrasted = torch.stack(samples[: settings.contrastive_samples]).mean(dim=0)
        mean[name] = dict(zip(rows, means, strict=True))
        log_variance[name] = dict(zip(rows, log_variances, strict=True))
        theta[name] = dict(zip(rows, contrasted, strict=True))
        if view.words is not None:
            beta = case.network.decoders[name].beta
            log_likely = normalised(samples[0] @ beta).log_softmax(1)  # type: ignore[operator]
            lost = -(view.words.dense(VOCABULARIES[name]) * log_likely).sum(1)
            summed["reconstruction"].append(list(lost))
        # Dirichlet(1), approximated.
        fixed = torch.zeros(TOPICS), torch.full((TOPICS,), 1 - 1 / TOPICS).double().log()
        of_prior = settings.prior_weight * divergence(means, log_variances, *fixed)
        summed["prior"].append(list(of_prior))
    for first, a in enumerate(views):
        for second, b in enumerate(views):
            both = [i for i in theta[a] if i in theta[b]]
            if first == second:
                continue
            if settings.alignment == "all-pairs" or second < first:
                summed["alignment"].append(
                    [
                        settings.alignment_weight
                        * divergence(mean[a][i], log_variance[a][i], mean[b][i], log_variance[b][i])
                        for i in both
                    ]
                )
            half = settings.contrastive_weight / 2
            summed["contrast"].append([half * surprise(i, a, b, theta, settings) for i in both])
    return {name: averaged_plainly(lists, settings) for name, lists in summed.items()}


def surprise(
    i: int,
    a: str,
    b: str,
    theta: Mapping[str, Mapping[int, Tensor]],
    settings: M3LContrastSettings,
) -> Tensor:
    """Return −log of the share that the positive pair (i^a, i^b) has of its denominator."""

    def score(p: Tensor, q: Tensor) -> Tensor:
        if settings.similarity == "cosine":
            p, q = p / (p * p).sum().sqrt(), q / (q * q).sum().sqrt()
        return ((p * q).sum() / settings.temperature).exp()

    anchor = theta[a][i]
    positive = score(anchor, theta[b][i])
    if settings.negatives == "printed":
        scores = [
            score(theta[c][i], q)
            for c in theta
            if i in theta[c]
            for d in theta
            for q in theta[d].values()
        ]
        return -(positive / torch.stack(scores).sum()).log()
    denominator = positive
    for j, other in theta[b].items():
        if j != i:
            denominator = denominator + score(anchor, other)
    if settings.negatives == "both-views":
        for j, other in theta[a].items():
            if j != i:
                denominator = denominator + score(anchor, other)
    return -(positive / denominator).log()


def plain_posterior(
    network: M3LContrastNetwork, name: str, embeddings: Tensor
) -> tuple[Tensor, Tensor]:
    standardiser: Any = network.standardisers[name]
    inference: Any = network.networks[network.network_of[name]]
    hidden = (embeddings - standardiser.mean) * standardiser.scale
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


def averaged_plainly(lists: list[list[Tensor]], settings: M3LContrastSettings) -> Tensor:
    """Return the sum of means over each list; 'pooled': as many times the mean over all."""
    total, some = torch.zeros((), dtype=torch.float64), [one for one in lists if one]
    if settings.average == "pooled" and some:
        return len(some) * torch.stack(list(chain(*some))).mean()
    for one in some:
        total = total + torch.stack(one).sum() / (
            TUPLES if settings.average == "batch" else len(one)
        )
    return total


def assert_equal_loss_and_gradients(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, plain = losses(case, monkeypatch), plain_loss(case)
    for name in plain:
        ours_of_it = ours.get(name, torch.zeros((), dtype=torch.float64))
        torch.testing.assert_close(ours_of_it, plain[name], rtol=1e-6, atol=1e-9)
    names = [name for name, _ in case.network.named_parameters()]
    parameters = list(case.network.parameters())
    gradients = [
        torch.autograd.grad(sum(terms.values(), torch.zeros(())), parameters, allow_unused=True)
        for terms in (ours, plain)
    ]
    moved = used = 0
    for name, one, other in zip(names, *gradients, strict=True):
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
    preset: str,
    views: tuple[str, ...],
    gaps: bool,
    average_over: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = make_case(views, gaps=gaps, preset=preset, average=average_over)
    assert_equal_loss_and_gradients(case, monkeypatch)


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
    ],
)
def test_loss_and_gradients_of_other_settings(
    settings: dict[str, Any], gaps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case(("en", "de", "image"), gaps=gaps, **settings)
    assert_equal_loss_and_gradients(case, monkeypatch)


def test_dropout_of_topics_is_for_decoding_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"alignment_weight": 1.0, "gaps": True}
    some = losses(make_case(("en", "de", "image"), theta_dropout=0.9, **settings), monkeypatch)
    none = losses(make_case(("en", "de", "image"), theta_dropout=0.0, **settings), monkeypatch)
    for name in ("prior", "contrast", "alignment"):
        assert torch.equal(some[name], none[name])
    assert not torch.isclose(some["reconstruction"], none["reconstruction"])


def test_views_without_common_tuples_have_no_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESENT, "en", [0, 1, 3])
    monkeypatch.setitem(PRESENT, "de", [2, 4])
    case = make_case(("en", "de"), gaps=True, alignment_weight=1.0)
    assert_equal_loss_and_gradients(case, monkeypatch)
    assert losses(case, monkeypatch)["contrast"].item() == 0


def test_links_of_held_out_items_do_not_count(planted_data: Planted) -> None:
    dataset = planted_data.dataset.with_views(["en", "de"])
    starts = [view.sizes[0] for view in dataset.views.values()]
    held_out = dataset.links[(dataset.links >= starts).all(axis=1)]
    assert len(held_out)
    loose = MultiviewDataset(dataset.views.values(), held_out)
    with pytest.raises(DataError, match=r"has 2 view\(s\) and no links between training items;"):
        M3LContrast(num_topics=3, epochs=1).train_model(loose, top_words=3)
