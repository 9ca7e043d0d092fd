"""InfoCTM: the contract, the plain formula, and planted topics that a dictionary ties."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from plain import loss_and_noise, plain_vae, posterior_of_counts
from planted import Planted, holds_for_most_seeds

from octis_m3l.encoders import encode_words
from octis_m3l.models import InfoCTM
from octis_m3l.models.infoctm import InfoCTMNetwork, InfoCTMSettings, Links
from octis_m3l.networks import linked_words

from .unlinked import (
    SIZES,
    UnlinkedModelContract,
    leading_topics,
    three_views,
    with_word_vectors,
    without_links,
)


class TestInfoCTM(UnlinkedModelContract):
    model = InfoCTM
    needs_dictionary = True


SETTINGS: dict[str, Any] = {
    "num_topics": 5,
    "epochs": 150,
    "learning_rate": 5e-3,
    "batch_size": 32,
    "hidden_size": 50,
    "alignment_weight": 20.0,
}


def test_finds_topics_across_languages_that_nothing_links(five_themes: Planted) -> None:
    unlinked = without_links(with_word_vectors(five_themes, one_space=False))

    def finds(seed: int) -> None:
        found = leading_topics(InfoCTM(**SETTINGS, seed=seed).fit(unlinked), five_themes)
        assert len(set(found["en"])) == 5
        assert found["en"] == found["de"] == found["fi"]

    holds_for_most_seeds(finds)


@pytest.mark.slow
def test_without_the_alignment_languages_have_topics_of_their_own(five_themes: Planted) -> None:
    unlinked = without_links(with_word_vectors(five_themes, one_space=False))
    model = InfoCTM(**SETTINGS | {"alignment_weight": 0.0}).fit(unlinked)
    assert set(model.history.epochs[-1]) == {"reconstruction", "prior"}  # type: ignore[union-attr]
    found = leading_topics(model, five_themes)
    assert found["en"] != found["de"]


@pytest.mark.parametrize("at_once", [1, 2**22])
@pytest.mark.parametrize("threshold", [-1.0, 0.4, 1.0])
def test_the_loss_is_the_plain_formula(
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
    network = InfoCTMNetwork(SIZES, InfoCTMSettings.checked(given, "test"))
    for (a, b), rows in pairs.items():
        network.links.append(Links(a, b, linked_words(rows, vectors[a], vectors[b], threshold)))
    network.double()
    counts, batch = three_views(random)
    terms = loss_and_noise(network, batch)

    expected = {"reconstruction": 0.0, "prior": 0.0, "alignment": 0.0}
    betas = network.betas()
    for name in SIZES:
        encoder: Any = network.encoders[name]
        posterior = posterior_of_counts(encoder, encoder.input_layer, counts[name])
        lost, kl, _ = plain_vae(posterior, counts[name], betas[name], network.decoders[name])
        expected["reconstruction"] += lost
        expected["prior"] += kl
    for (a, b), rows in pairs.items():
        near = {}
        for name, of_words in vectors.items():
            known = of_words.any(axis=1)
            unit = of_words / np.maximum(np.linalg.norm(of_words, axis=1, keepdims=True), 1e-9)
            alike = (unit @ unit.T >= threshold) & known & known[:, None]
            near[name] = (alike | np.eye(len(unit), dtype=bool)).astype(float)
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


def test_without_word_vectors_those_of_an_lsa_are_taken(planted_data: Planted) -> None:
    dataset = planted_data.dataset
    short: dict[str, Any] = {"epochs": 1, "hidden_size": 12, "batch_size": 16, "num_topics": 4}
    found = InfoCTM(**short).fit(dataset).output
    vectors = encode_words(dataset.with_views(["en", "de"]), "lsa")
    given = InfoCTM(**short).fit(dataset.with_word_vectors(vectors)).output
    other = InfoCTM(**short).fit(with_word_vectors(planted_data, one_space=False)).output
    np.testing.assert_array_equal(found["topic-word-matrix"], given["topic-word-matrix"])
    assert not np.array_equal(found["topic-word-matrix"], other["topic-word-matrix"])
