"""NMTM: the contract, the plain formula, and planted topics that a dictionary ties."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from plain import loss_and_noise, plain_vae, posterior_of_counts
from planted import Planted
from torch import Tensor

from octis_m3l.models import NMTM
from octis_m3l.models.nmtm import NMTMNetwork, NMTMSettings

from .unlinked import (
    SIZES,
    UnlinkedModelContract,
    leading_topics,
    three_views,
    without_links,
)


class TestNMTM(UnlinkedModelContract):
    model = NMTM
    needs_dictionary = True


SETTINGS: dict[str, Any] = {
    "num_topics": 5,
    "epochs": 150,
    "learning_rate": 5e-3,
    "batch_size": 32,
    "hidden_size": 50,
}


@pytest.mark.slow
def test_finds_topics_across_languages_that_nothing_links(five_themes: Planted) -> None:
    # Two topics may stay crossed in one language: what a language's own φ shapes is the
    # others' topics, so several seeds are looked at.
    dataset = without_links(five_themes.dataset)
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


def test_the_loss_is_the_plain_formula() -> None:
    torch.manual_seed(0)
    random = np.random.default_rng(1)
    listed = {
        ("a", "b"): np.unique(random.integers(0, [6, 9], (7, 2)), axis=0),
        ("a", "c"): np.unique(random.integers(0, [6, 4], (5, 2)), axis=0),
    }
    pairs = listed | {(b, a): rows[:, ::-1] for (a, b), rows in listed.items()}
    frequencies = {name: random.integers(0, 9, size) for name, size in SIZES.items()}
    settings = NMTMSettings.checked({"num_topics": 3, "hidden_size": 5, "mixture": 0.7}, "test")
    network = NMTMNetwork(SIZES, settings, [(*views, len(rows)) for views, rows in pairs.items()])
    for (source, target), rows in pairs.items():
        network.into[target][source].fit(rows, frequencies[source])
    network.double()
    counts, batch = three_views(random)
    terms = loss_and_noise(network, batch)

    phis = dict(zip(SIZES, network.phis, strict=True))
    expected = {"reconstruction": 0.0, "prior": 0.0}
    for name, size in SIZES.items():
        translated: list[Tensor] = []
        for (source, target), rows in pairs.items():
            if target != name:
                continue
            matrix = np.zeros((SIZES[source], size))
            for i, j in rows:
                matrix[i, j] = frequencies[source][i]
            matrix = (matrix + 1) / (matrix + 1).sum(axis=1, keepdims=True)
            translated.append(phis[source] @ torch.from_numpy(matrix))
        beta = 0.7 * sum(translated) / len(translated) + 0.3 * phis[name]
        first: Any = network.first[name]
        posterior = posterior_of_counts(network.shared, first, counts[name], 1e-3)
        lost, kl, _ = plain_vae(posterior, counts[name], beta, network.decoders[name], 1e-3)
        expected["reconstruction"] += lost
        expected["prior"] += kl
    # The dictionary's weights are single precision.
    assert terms == pytest.approx(expected, rel=1e-6)
