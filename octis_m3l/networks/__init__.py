"""Modules that models share: inference networks, decoders, priors."""

from octis_m3l.networks.decoder import TopicDecoder, TopicForm
from octis_m3l.networks.inference import (
    InferenceNetwork,
    Posterior,
    expected_topics,
    sample_topics,
)
from octis_m3l.networks.prior import GaussianPrior, PriorForm
from octis_m3l.networks.standardiser import Standardiser
from octis_m3l.networks.view_modules import ViewModules

__all__ = [
    "GaussianPrior",
    "InferenceNetwork",
    "Posterior",
    "PriorForm",
    "Standardiser",
    "TopicDecoder",
    "TopicForm",
    "ViewModules",
    "expected_topics",
    "sample_topics",
]
