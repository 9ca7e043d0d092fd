"""What tells one comparison from another, so that no other's runs are taken for its own."""

from importlib.metadata import version
from typing import Any

from octis_m3l.comparison.job import ComparisonJob
from octis_m3l.data.describe import content_hashes
from octis_m3l.optimization.record import described_metric

_PACKAGES = ("octis-m3l", "octis", "contextualized-topic-models", "gensim", "torch")


def described_comparison(job: ComparisonJob) -> dict[str, Any]:
    """Return what all runs of a comparison must agree in, as JSON.

    Parameters
    ----------
    job : ComparisonJob
        With the data as the contenders read them.
    """
    return {
        "data": job.dataset.metadata.get("name"),
        "items, links and partitions": job.dataset.fingerprints(),
        "embeddings, labels, word vectors and dictionaries": content_hashes(
            job.dataset.views.values(), job.dataset.dictionaries
        ),
        "partition": job.terms.partition,
        "topk": job.topk,
        "measures": None if job.measures is None else sorted(job.measures),
        "further measures": {
            name: described_metric(metric, job.dataset) for name, metric in job.others.items()
        },
        "corpus": None if job.corpus is None else job.corpus.fingerprints(),
        "versions of packages": {name: version(name) for name in _PACKAGES},
    }
