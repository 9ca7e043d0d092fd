"""What every model of the package promises, as tests to inherit."""

from .helpers import (
    THETA,
    TOP_WORDS,
    assert_differ,
    assert_distributions,
    assert_same,
    leading_topics,
    refused,
    with_few_items,
)
from .neural import NeuralContract
from .output import OutputContract
from .training import TrainingContract

__all__ = [
    "THETA",
    "TOP_WORDS",
    "ModelContract",
    "NeuralModelContract",
    "assert_differ",
    "assert_distributions",
    "assert_same",
    "leading_topics",
    "refused",
    "with_few_items",
]


class ModelContract(OutputContract, TrainingContract):
    """Inherit and name the model: see `Contract` for what else may be said of it."""


class NeuralModelContract(NeuralContract, ModelContract):
    """The same for models whose networks read embeddings."""
