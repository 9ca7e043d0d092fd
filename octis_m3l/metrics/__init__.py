"""Measures, each an OCTIS metric class: a class here that assigns `name` is a metric."""

from typing import TYPE_CHECKING

from octis_m3l.registry import Registry, lazily

if TYPE_CHECKING:
    from octis_m3l.metrics.base import Metric
    from octis_m3l.metrics.classification import CrosslingualClassification
    from octis_m3l.metrics.cnpmi import CNPMI, TopicQuality
    from octis_m3l.metrics.divergence import jensen_shannon, jensen_shannon_matrix
    from octis_m3l.metrics.linked import JSD
    from octis_m3l.metrics.npmi import NPMI, DocumentNPMI
    from octis_m3l.metrics.on_view import OnView
    from octis_m3l.metrics.retrieval import MRR, UAP
    from octis_m3l.metrics.scores import OverViews, applicable, score_all
    from octis_m3l.metrics.topic_uniqueness import TopicUniqueness

METRICS: "Registry[type[Metric]]" = Registry(__name__)
"""Every metric by its name on the command line, in the order of tables."""

__getattr__ = lazily(__name__, __file__)

__all__ = [
    "CNPMI",
    "JSD",
    "METRICS",
    "MRR",
    "NPMI",
    "UAP",
    "CrosslingualClassification",
    "DocumentNPMI",
    "Metric",
    "OnView",
    "OverViews",
    "TopicQuality",
    "TopicUniqueness",
    "applicable",
    "jensen_shannon",
    "jensen_shannon_matrix",
    "score_all",
]
