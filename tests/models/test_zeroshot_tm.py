"""ZeroshotTM: the contract, zero-shot transfer, and contextualized-topic-models beside it."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from contextualized_topic_models.models.ctm import (  # type: ignore[import-untyped]
    CTM,
    ZeroShotTM,
)
from plain import sparse_rows
from planted import IMAGE, Planted, holds_for_most_seeds, planted
from torch import Tensor

from octis_m3l.data.batches import Batch, ViewBatch
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.metrics import MRR
from octis_m3l.models import ZeroshotTM
from octis_m3l.models.zeroshot_tm import ZeroshotTMNetwork, ZeroshotTMSettings

from .contract import TOP_WORDS, NeuralModelContract, assert_distributions, refused

TOPICS, ROWS, WORDS, DIMENSIONS = 4, 8, 12, 5
HIDDEN = 6
NAMES = {
    "inference.": "inf_net.",
    "decoder.beta": "beta",
    "decoder.batch_norm.": "beta_batchnorm.",
    "prior.mean": "prior_mean",
    "prior.scale": "prior_variance",
}


@pytest.mark.filterwarnings("ignore:embeddings of view .* zeroshot-tm can't infer:UserWarning")
@pytest.mark.filterwarnings("ignore:views .* are encoded by LSA:UserWarning")
class TestZeroshotTM(NeuralModelContract):
    model = ZeroshotTM

    def with_topics(self, dataset: MultiviewDataset) -> list[str]:
        return [dataset.pivot]

    def inferred(self, dataset: MultiviewDataset) -> list[str]:
        given = dataset.view(dataset.pivot).embeddings is not None
        return [name for name in dataset.views if given or name != IMAGE]


# One view is trained.


def small(**changes: Any) -> ZeroshotTM:
    settings: dict[str, Any] = {"num_topics": 4, "epochs": 2, "batch_size": 16, "hidden_size": 12}
    return ZeroshotTM(**settings | changes)


def test_views_of_other_dimensions_are_left_out(planted_data: Planted) -> None:
    model = small()
    message = (
        r"embeddings of view 'en' have \d+ dimensions, those of 'image' \(12\) have others: "
        "zeroshot-tm can't infer these views and leaves them out"
    )
    with pytest.warns(UserWarning, match=message):
        output = model.train_model(planted_data.dataset, top_words=TOP_WORDS)
    assert output.views == ["en", "de"]
    message = "unknown view 'image'. Known: de, en."
    refused(DataError, message, model.infer, np.zeros((2, 12), np.float32), IMAGE)
    # Languages in spaces of their own.
    dataset = planted_data.dataset.with_views(["en", "de"])
    message = "views 'de' are encoded by LSA, each language in a space of its own, .* from 'en'"
    with pytest.warns(UserWarning, match=message):
        small(encoder="lsa", dimensions=20).train_model(dataset, top_words=TOP_WORDS)


def test_trains_the_view_that_is_named(embedded: MultiviewDataset) -> None:
    model = small(view="de")
    output = model.train_model(embedded, top_words=TOP_WORDS)
    assert output.pivot == "de"
    assert [key for key in output if key.startswith("topics/")] == ["topics/de"]
    assert output["topics"] == output.topics("de")
    assert output.views == ["en", "de", IMAGE]
    assert output["topic-document-matrix"].shape[1] == embedded.view("de").sizes[0]
    assert list(model.topic_info().columns) == ["topic", "share", "de"]
    for name, message in (("fr", "unknown view 'fr'"), (IMAGE, "holds images and has no words")):
        refused(DataError, message, small(view=name).train_model, embedded)


def test_other_views_take_no_part_in_training(embedded: MultiviewDataset) -> None:
    together = small().train_model(embedded, top_words=TOP_WORDS)
    alone = small().train_model(embedded.with_views(["en"]), top_words=TOP_WORDS)
    assert set(alone) < set(together)
    for key, value in alone.items():
        np.testing.assert_array_equal(together[key], value, err_msg=key)


@pytest.mark.parametrize("form", ["none", "trained-view", "own-view"])
def test_standardises_by_the_view_that_is_asked_for(form: str, embedded: MultiviewDataset) -> None:
    model = small(standardised=form)
    assert_distributions(model.train_model(embedded, top_words=TOP_WORDS))
    standardisers: Any = model.network.standardisers  # type: ignore[union-attr]
    for name in embedded.views:
        source = {"none": None, "trained-view": "en", "own-view": name}[form]
        mean, scale = torch.zeros(12), torch.ones(12)
        if source is not None:
            view = embedded.view(source)
            vectors = torch.tensor(view.embeddings[view.rows("train")])  # type: ignore[index]
            mean, scale = vectors.mean(dim=0), 1 / vectors.std(dim=0, correction=0)
        torch.testing.assert_close(standardisers[name].mean, mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(standardisers[name].scale, scale, atol=1e-5, rtol=1e-5)


def test_finds_planted_topics_and_another_language_through_a_shared_space() -> None:
    def finds(seed: int) -> None:
        given: dict[str, Any] = {"images": False, "missing": 0.1, "concentration": 0.2}
        data = planted(themes=5, tuples=500, **given, seed=seed)
        model = ZeroshotTM(
            num_topics=10,
            epochs=40,
            learning_rate=1e-2,
            batch_size=32,
            encoder="clsi",
            dimensions=10,
            standardised="own-view",
            seed=seed,
        )
        output = model.train_model(data.dataset)
        topics = output.topics("en")
        for theme in data.words["en"]:
            assert max(len(theme & set(topic[:6])) for topic in topics) >= 5, topics
        metric = MRR(data.dataset, "de", "en")
        assert metric.score(output) > 4 * metric.chance()

    holds_for_most_seeds(finds)


# The same as contextualized-topic-models.


def test_defaults_are_theirs() -> None:
    theirs = {n: p.default for n, p in inspect.signature(CTM.__init__).parameters.items()}
    ours = ZeroshotTM().hyperparameters
    assert (ours["hidden_size"],) * ours["hidden_layers"] == theirs["hidden_sizes"]
    names = {
        "activation": "activation",
        "dropout": "dropout",
        "theta_dropout": "dropout",
        "batch_size": "batch_size",
        "learning_rate": "lr",
        "momentum": "momentum",
        "epochs": "num_epochs",
    }
    assert {name: ours[name] for name in names} == {n: theirs[t] for n, t in names.items()}
    adam = ZeroShotTM(bow_size=WORDS, contextual_size=DIMENSIONS).optimizer
    assert (ours["momentum"], ours["second_momentum"]) == adam.defaults["betas"]
    assert ours["weight_decay"] == adam.defaults["weight_decay"]
    assert (ours["prior"], theirs["learn_priors"]) == ("learned", True)
    assert ours["posterior"] == "ctm"
    assert ours["prior_weight"] == 1.0


def our_network(**given: Any) -> ZeroshotTMNetwork:
    settings = ZeroshotTMSettings.checked({"num_topics": TOPICS, **given}, "zeroshot-tm")
    return ZeroshotTMNetwork({"en": DIMENSIONS}, {"en": WORDS}, settings)


@pytest.mark.parametrize("form", ["fixed", "learned", "learned-variance"])
def test_prior_starts_as_theirs(form: str) -> None:
    ours = our_network(prior=form)
    theirs = ZeroShotTM(bow_size=WORDS, contextual_size=DIMENSIONS, n_components=TOPICS).model
    torch.testing.assert_close(ours.prior.mean.detach(), theirs.prior_mean.detach().cpu())
    variance = ours.prior.log_variance.detach().exp()
    torch.testing.assert_close(variance, theirs.prior_variance.detach().cpu())
    learned = [name for name, _ in ours.named_parameters() if name.startswith("prior.")]
    assert learned == ([] if form == "fixed" else ["prior.mean", "prior.scale"])


def pair(dropout: float, standardised: bool = False) -> tuple[ZeroshotTMNetwork, ZeroShotTM]:
    """Return our network and their model, in float64, with the same weights."""
    torch.manual_seed(3)
    theirs = ZeroShotTM(
        bow_size=WORDS,
        contextual_size=DIMENSIONS,
        n_components=TOPICS,
        hidden_sizes=(HIDDEN, HIDDEN),
        dropout=dropout,
        num_data_loader_workers=0,
    )
    theirs.model.to("cpu", torch.float64).train()
    # Their argument does not arrive there.
    theirs.model.inf_net.dropout_enc.p = dropout
    with torch.no_grad():
        theirs.model.prior_mean.normal_()
        theirs.model.prior_variance.uniform_(0.5, 2.0)
    settings = {"hidden_size": HIDDEN, "dropout": dropout, "theta_dropout": dropout}
    ours = our_network(**settings, prior="learned-variance").double()
    given = theirs.model.state_dict()
    state = ours.state_dict()
    standardiser: Any = ours.standardisers["en"]
    if standardised:
        standardiser.mean.normal_()
        standardiser.scale.uniform_(0.5, 2.0)
    ours.load_state_dict({n: t if "standard" in n else given[their(n)] for n, t in state.items()})
    return ours.train(), theirs


def their(name: str) -> str:
    """Return their name of one of our tensors."""
    for ours, theirs in NAMES.items():
        if name.startswith(ours):
            return name.replace(ours, theirs)
    raise KeyError(name)


def make_batch(seed: int) -> tuple[Batch, Tensor, Tensor]:
    """Return a batch, and the same as dense counts and embeddings."""
    random = torch.Generator().manual_seed(seed)
    vectors = torch.randn(ROWS, DIMENSIONS, generator=random, dtype=torch.float64)
    counts = torch.randint(0, 4, (ROWS, WORDS), generator=random)
    words = sparse_rows(counts.double())
    batch = Batch(ROWS, {"en": ViewBatch(torch.arange(ROWS), None, vectors, words)})
    return batch, counts.double(), vectors


def our_loss(network: ZeroshotTMNetwork, batch: Batch, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return torch.stack(list(network.loss(batch).values())).sum()


def their_loss(model: ZeroShotTM, counts: Tensor, vectors: Tensor, seed: int) -> Tensor:
    torch.manual_seed(seed)
    mean, variance, *posterior, words, _ = model.model(counts, vectors)
    divergence, lost = model._loss(counts, words, mean, variance, *posterior)
    total: Tensor = (model.weights["beta"] * divergence + lost).sum()
    return total


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_loss_and_every_gradient_are_theirs(dropout: float) -> None:
    network, model = pair(dropout)
    batch, counts, vectors = make_batch(5)
    ours = our_loss(network, batch, 11) * ROWS
    theirs = their_loss(model, counts, vectors, 11)
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=0)
    torch.autograd.backward([ours, theirs])
    compared = dict(model.model.named_parameters())
    for name, parameter in network.named_parameters():
        expected = compared.pop(their(name)).grad
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-5, atol=1e-9, msg=name)
    assert not compared
    expected = model.model.state_dict()
    for name, buffer in network.named_buffers():
        if not name.startswith("standardisers."):
            torch.testing.assert_close(buffer, expected[their(name)], msg=name)


def test_standardised_inputs_are_all_that_standardising_changes() -> None:
    network, model = pair(0.0, standardised=True)
    standardiser: Any = network.standardisers["en"]
    batch, counts, vectors = make_batch(5)
    ours = our_loss(network, batch, 11) * ROWS
    moved = (vectors - standardiser.mean) * standardiser.scale
    torch.testing.assert_close(ours, their_loss(model, counts, moved, 11), rtol=1e-7, atol=0)


def test_ten_steps_of_adam_stay_in_step() -> None:
    network, model = pair(0.0)
    defaults = model.optimizer.defaults
    # Ours is the mean over the rows, so that ε is as many times smaller.
    same: dict[str, Any] = {name: defaults[name] for name in ("lr", "betas")}
    adam = torch.optim.Adam(network.parameters(), **same, eps=defaults["eps"] / ROWS)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for step in range(10):
        batch, counts, vectors = make_batch(step)
        adam.zero_grad()
        model.model.zero_grad()
        ours = our_loss(network, batch, step)
        theirs = their_loss(model, counts, vectors, step)
        torch.testing.assert_close(ours * ROWS, theirs, rtol=1e-6, atol=0)
        torch.autograd.backward([ours, theirs])
        adam.step()
        model.optimizer.step()
    expected = model.model.state_dict()
    for name, tensor in network.state_dict().items():
        if not name.startswith("standardisers."):
            torch.testing.assert_close(
                tensor, expected[their(name)], rtol=1e-5, atol=1e-8, msg=name
            )
            assert not torch.equal(tensor, before[name]), name
