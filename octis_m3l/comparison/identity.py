"""What tells one comparison from another, so that no other's runs are taken for its own."""

import hashlib
import json
from importlib.metadata import version
from typing import Any

import numpy as np

from octis_m3l.comparison.job import ComparisonJob
from octis_m3l.data.arrays import hash_of_rows
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import TextView
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
        "embeddings, labels, word vectors and dictionaries": _contents(job.dataset),
        "partition": job.terms.partition,
        "topk": job.topk,
        "measures": None if job.measures is None else sorted(job.measures),
        "further measures": {
            name: described_metric(metric, job.dataset) for name, metric in job.others.items()
        },
        "corpus": None if job.corpus is None else job.corpus.fingerprints(),
        "versions of packages": {name: version(name) for name in _PACKAGES},
    }


def _contents(dataset: MultiviewDataset) -> dict[str, str]:
    """Return a hash of what the fingerprints say nothing of."""
    found = {}
    for name, view in dataset.views.items():
        if view.embeddings is not None:
            found[f"embeddings of {name}"] = hash_of_rows(view.embeddings)
        if view.labels is not None:
            content = json.dumps([str(label) for label in view.labels])
            found[f"labels of {name}"] = hashlib.sha256(content.encode()).hexdigest()
        if isinstance(view, TextView) and view.word_vectors is not None:
            found[f"word vectors of {name}"] = hash_of_rows(view.word_vectors)
    for views, pairs in dataset.dictionaries.items():
        numbers = np.ascontiguousarray(pairs, np.int64).tobytes()
        found[f"dictionary {'-'.join(views)}"] = hashlib.sha256(numbers).hexdigest()
    return found
