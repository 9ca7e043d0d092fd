"""What tests of models of unlinked languages share."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from planted import Planted, planted
from torch import Tensor

from octis_m3l.data.batches import SparseRows


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
