"""Modules that models share: inference networks, decoders, priors."""

from octis_m3l.networks.bag_of_words import BagOfWordsNetwork, SharedDecoder, xavier
from octis_m3l.networks.decoder import TopicDecoder, TopicForm
from octis_m3l.networks.expansion import Expansion, expansion_table
from octis_m3l.networks.inference import (
    InferenceNetwork,
    Posterior,
    expected_topics,
    mean_sample,
    sample_topics,
)
from octis_m3l.networks.prior import GaussianPrior, PriorForm
from octis_m3l.networks.sparse_linear import SparseLinear
from octis_m3l.networks.standardiser import Standardiser
from octis_m3l.networks.translation import Translation
from octis_m3l.networks.typical_length import TypicalLength
from octis_m3l.networks.view_modules import ViewModules
from octis_m3l.networks.vocabulary_linking import LinkedWords, linked_words

__all__ = [
    "BagOfWordsNetwork",
    "Expansion",
    "GaussianPrior",
    "InferenceNetwork",
    "LinkedWords",
    "Posterior",
    "PriorForm",
    "SharedDecoder",
    "SparseLinear",
    "Standardiser",
    "TopicDecoder",
    "TopicForm",
    "Translation",
    "TypicalLength",
    "ViewModules",
    "expansion_table",
    "expected_topics",
    "linked_words",
    "mean_sample",
    "sample_topics",
    "xavier",
]
