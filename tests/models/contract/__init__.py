"""What every model of the package promises, as tests to inherit."""

from .helpers import (
    THETA,
    TOP_WORDS,
    assert_differ,
    assert_distributions,
    assert_same,
    with_few_items,
)
from .inference import InferenceContract
from .neural import NeuralContract
from .octis import OctisContract
from .output import OutputContract
from .settings import SettingsContract
from .storage import StorageContract
from .training import TrainingContract

__all__ = [
    "THETA",
    "TOP_WORDS",
    "ModelContract",
    "NeuralModelContract",
    "assert_differ",
    "assert_distributions",
    "assert_same",
    "with_few_items",
]


class ModelContract(
    SettingsContract,
    OutputContract,
    TrainingContract,
    InferenceContract,
    StorageContract,
    OctisContract,
):
    """Inherit and name the model: see `Contract` for what else may be said of it."""


class NeuralModelContract(NeuralContract, ModelContract):
    """The same for models whose networks read embeddings."""
