"""Modules that models share: inference networks, decoders, priors."""

from octis_m3l.networks.decoders import SharedDecoder, TopicDecoder, TopicForm, xavier
from octis_m3l.networks.inference import (
    BagOfWordsNetwork,
    Drop,
    InferenceNetwork,
    Posterior,
    SparseLinear,
    expected_topics,
    sample_topics,
)
from octis_m3l.networks.inputs import Standardiser, TypicalLength
from octis_m3l.networks.prior import GaussianPrior, PriorForm
from octis_m3l.networks.view_modules import ViewModules
from octis_m3l.networks.word_links import (
    Expansion,
    LinkedWords,
    Translation,
    expansion_table,
    linked_words,
)

__all__ = [
    "BagOfWordsNetwork",
    "Drop",
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
    "sample_topics",
    "xavier",
]
