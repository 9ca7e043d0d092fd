"""One measure a file, each an OCTIS metric class."""

from octis_m3l.metrics.base import Metric
from octis_m3l.metrics.divergence import jensen_shannon, jensen_shannon_matrix
from octis_m3l.metrics.document_npmi import DocumentNPMI
from octis_m3l.metrics.jsd import JSD
from octis_m3l.metrics.mrr import MRR
from octis_m3l.metrics.npmi import NPMI
from octis_m3l.metrics.on_view import OnView
from octis_m3l.metrics.topic_uniqueness import TopicUniqueness
from octis_m3l.metrics.uap import UAP

METRICS: dict[str, type[Metric]] = {
    "jsd": JSD,
    "mrr": MRR,
    "uap": UAP,
    "tu": TopicUniqueness,
    "npmi": NPMI,
    "document-npmi": DocumentNPMI,
}

__all__ = [
    "JSD",
    "METRICS",
    "MRR",
    "NPMI",
    "UAP",
    "DocumentNPMI",
    "Metric",
    "OnView",
    "TopicUniqueness",
    "jensen_shannon",
    "jensen_shannon_matrix",
]
