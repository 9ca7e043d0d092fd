"""What tells one comparison from another, so that no other's runs are taken for its own."""

from importlib.metadata import version
from typing import Any

from octis_m3l.comparison.job import ComparisonJob
from octis_m3l.data.arrays import hash_of_rows
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.describe import content_hashes
from octis_m3l.search.record import described_metric

_PACKAGES = ("octis-m3l", "octis", "contextualized-topic-models", "gensim", "torch")


def described_comparison(job: ComparisonJob, given: MultiviewDataset) -> dict[str, Any]:
    """Return what all runs of a comparison must agree in, as JSON."""
    return {
        "data": job.dataset.metadata.get("name"),
        "items, links and partitions": job.dataset.fingerprints(),
        "embeddings, labels, word vectors and dictionaries": content_hashes(
            given.views.values(), given.dictionaries
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


def described_contenders(job: ComparisonJob) -> dict[str, dict[str, Any]]:
    """Return what each contender is, and the embeddings of those that read some, as JSON."""
    read: dict[str, str] = {}
    if any(contender.reads_embeddings for contender in job.contenders.values()):
        read = {
            name: hash_of_rows(view.embeddings)
            for name, view in job.dataset.views.items()
            if view.embeddings is not None
        }
    return {
        name: {
            **contender.describe(),
            **({"embeddings": read} if contender.reads_embeddings else {}),
        }
        for name, contender in job.contenders.items()
    }
