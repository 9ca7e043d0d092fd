"""NMTM: the contract, the plain formula, and planted topics that a dictionary ties."""

import math
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from planted import Planted
from torch import Tensor

from octis_m3l.data.batches import Batch, ViewBatch
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.models import NMTM
from octis_m3l.models.nmtm import NMTMNetwork, NMTMSettings

from .unlinked import (
    UnlinkedModelContract,
    encoded,
    leading_topics,
    normalised,
    sparse,
    three_languages,
)


class TestNMTM(UnlinkedModelContract):
    model = NMTM
    settings: ClassVar[dict[str, Any]] = {"epochs": 2, "batch_size": 16, "hidden_size": 12}
    needs_dictionary = True

    def inferred(self, dataset: MultiviewDataset) -> list[str]:
        return list(dataset.text_views)


SETTINGS: dict[str, Any] = {
    "num_topics": 5,
    "epochs": 150,
    "learning_rate": 5e-3,
    "batch_size": 32,
    "hidden_size": 50,
}


@pytest.fixture(scope="module")
def five_themes() -> Planted:
    return three_languages()


@pytest.mark.slow
def test_finds_topics_across_languages_that_nothing_links(five_themes: Planted) -> None:
    # Two topics may stay crossed in one language: what a language's own φ shapes is the
    # others' topics, so several seeds are looked at.
    dataset = without_links(five_themes)
    agreeing: dict[float, list[float]] = {0.8: [], 0.0: []}
    for mixture, found in agreeing.items():
        for seed in range(3):
            model = NMTM(**SETTINGS, mixture=mixture, seed=seed).fit(dataset)
            topics = leading_topics(model, five_themes)
            assert len(set(topics["en"])) == 5
            found += [
                float(np.mean(np.equal(topics[a], topics[b]))) for a, b in combinations(topics, 2)
            ]
    assert np.mean(agreeing[0.8]) > 0.6
    assert np.mean(agreeing[0.0]) < 0.4


def without_links(data: Planted) -> MultiviewDataset:
    views = data.dataset.views.values()
    return MultiviewDataset(views, dictionaries=data.dataset.dictionaries)


def test_the_loss_is_the_plain_formula() -> None:
    torch.manual_seed(0)
    sizes = {"a": 6, "b": 9, "c": 4}
    random = np.random.default_rng(1)
    listed = {
        ("a", "b"): np.unique(random.integers(0, [6, 9], (7, 2)), axis=0),
        ("a", "c"): np.unique(random.integers(0, [6, 4], (5, 2)), axis=0),
    }
    pairs = listed | {(b, a): rows[:, ::-1] for (a, b), rows in listed.items()}
    frequencies = {name: random.integers(0, 9, size) for name, size in sizes.items()}
    settings = NMTMSettings.checked({"num_topics": 3, "hidden_size": 5, "mixture": 0.7}, "test")
    network = NMTMNetwork(sizes, settings, [(*views, len(rows)) for views, rows in pairs.items()])
    for (source, target), rows in pairs.items():
        network.into[target][source].fit(rows, frequencies[source])
    network.double()
    counts = {name: random.poisson(0.7, (8, size)).astype(float) for name, size in sizes.items()}
    none = torch.zeros(8, 0).double()
    batch = Batch(8, {n: ViewBatch(torch.arange(8), None, none, sparse(counts[n])) for n in sizes})
    state = torch.random.get_rng_state()
    terms = {name: float(term.detach()) for name, term in network.loss(batch).items()}
    torch.random.set_rng_state(state)

    phis = dict(zip(sizes, network.phis, strict=True))
    expected = {"reconstruction": 0.0, "prior": 0.0}
    for name, size in sizes.items():
        said: list[Tensor] = []
        for (source, target), rows in pairs.items():
            if target != name:
                continue
            matrix = np.zeros((sizes[source], size))
            for i, j in rows:
                matrix[i, j] = frequencies[source][i]
            matrix = (matrix + 1) / (matrix + 1).sum(axis=1, keepdims=True)
            said.append(phis[source] @ torch.from_numpy(matrix))
        beta = 0.7 * sum(said) / len(said) + 0.3 * phis[name]
        w = torch.from_numpy(counts[name])
        first: Any = network.first[name]
        hidden = torch.nn.functional.softplus(w @ first.weight + first.bias)
        mean, log_variance = encoded(network.shared, hidden, epsilon=1e-3)
        theta = (mean + (0.5 * log_variance).exp() * torch.randn_like(mean)).softmax(1)
        decoder: Any = network.decoders[name]
        logits = normalised(theta @ beta, decoder.batch_norm.bias, 1e-3)
        expected["reconstruction"] -= float((w * logits.log_softmax(1)).sum(1).mean())
        q = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
        prior = torch.distributions.Normal(0.0, math.sqrt(2 / 3))
        divergence = torch.distributions.kl_divergence(q, prior).sum(1).mean()
        expected["prior"] += float(divergence)
    # The dictionary's weights are single precision.
    assert terms == pytest.approx(expected, rel=1e-6)


def test_a_language_without_a_dictionary_is_refused(planted_data: Planted) -> None:
    dataset = planted_data.dataset
    plain = MultiviewDataset(dataset.views.values())
    with pytest.raises(
        DataError,
        match="connects languages by dictionaries, and none connects de with the rest",
    ):
        NMTM().train_model(plain)
