"""What tests of models of unlinked languages share."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from planted import Planted, planted
from torch import Tensor

from octis_m3l.data.batches import SparseRows

from .contract import ModelContract


class UnlinkedModelContract(ModelContract):
    """What a model that reads raw counts promises of documents of any length."""

    def test_a_text_repeated_is_about_the_same(self, trained: Any, planted_data: Planted) -> None:
        view = planted_data.dataset.text_view("en")
        lengths = np.diff(view.offsets)
        usual = np.abs(lengths - lengths.mean()) < 2
        short = view.bag_of_words.toarray()[usual].astype(np.int64)
        assert len(short) > 5
        expected = trained.infer(short, "en")
        for times in (5, 200, 5000):
            found = trained.infer(short * times, "en")
            np.testing.assert_allclose(found, expected, atol=0.02)
            np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))

    def test_the_lengths_of_training_change_nothing_for_usual_documents(
        self, trained: Any, planted_data: Planted
    ) -> None:
        view = planted_data.dataset.text_view("en")
        counts = view.bag_of_words.toarray()[: view.sizes[0]].astype(np.int64)
        expected = trained.infer(counts, "en")
        weights = {name: w.clone() for name, w in trained.network.state_dict().items()}
        long = np.concatenate([counts[:2], 5000 * counts[2:3]])
        # As a folder that was saved before lengths were kept has them.
        trained.network.load_state_dict({n: w for n, w in weights.items() if "length" not in n})
        try:
            np.testing.assert_array_equal(trained.infer(counts, "en"), expected)
            found = trained.infer(long, "en")
            np.testing.assert_allclose(found[:2], expected[:2], rtol=1e-5)
            np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)
        finally:
            trained.network.load_state_dict(weights)


def three_languages() -> Planted:
    """Return documents of three languages, drawn from five themes."""
    return planted(("en", "de", "fi"), themes=5, tuples=250, images=False, concentration=0.2)


def leading_topics(model: Any, data: Planted, at_least: int = 5) -> dict[str, list[int]]:
    """Return, for each language, the topic that each theme is found in."""
    found = {}
    for language, themes in data.words.items():
        topics = model.topics(language, 8)
        hits = np.array([[len(theme & set(topic)) for topic in topics] for theme in themes])
        assert (hits.max(axis=1) >= at_least).all(), topics
        assert hits.max(axis=1).mean() >= at_least + 1, topics
        found[language] = hits.argmax(axis=1).tolist()
    return found


def normalised(values: Tensor, shift: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Return batch-normalised values, shifted."""
    variance, mean = torch.var_mean(values, dim=0, unbiased=False)
    return (values - mean) / (variance + epsilon).sqrt() + shift


def encoded(encoder: Any, hidden: Tensor, epsilon: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Return the posterior of what the first layer gave."""
    hidden = encoder.hiddens(hidden)
    return (
        normalised(encoder.f_mu(hidden), encoder.f_mu_batchnorm.bias, epsilon),
        normalised(encoder.f_sigma(hidden), encoder.f_sigma_batchnorm.bias, epsilon),
    )


def sparse(counts: NDArray[Any]) -> SparseRows:
    """Return rows of counts, sparse."""
    rows, words = np.nonzero(counts)
    arrays = rows, words, counts[rows, words], counts.sum(axis=1)
    return SparseRows(*map(torch.from_numpy, arrays))
