"""Every measure that applies to a model's output, in one table."""

import warnings
from collections.abc import Collection, Mapping
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any

from octis_m3l.errors import DataError, SettingsError, suggest
from octis_m3l.metrics.base import Metric
from octis_m3l.metrics.document_npmi import DocumentNPMI
from octis_m3l.metrics.jsd import JSD
from octis_m3l.metrics.mrr import MRR
from octis_m3l.metrics.npmi import NPMI
from octis_m3l.metrics.outputs import THETA_KEYS, check_partition
from octis_m3l.metrics.topic_uniqueness import TopicUniqueness
from octis_m3l.metrics.uap import UAP

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

METRICS: dict[str, type[Metric]] = {
    "mrr": MRR,
    "uap": UAP,
    "jsd": JSD,
    "tu": TopicUniqueness,
    "npmi": NPMI,
    "document-npmi": DocumentNPMI,
}
_ORDERED, _UNORDERED = ("mrr", "uap"), ("jsd",)


def applicable(
    dataset: "MultiviewDataset",
    output: Mapping[str, Any],
    partition: str = "test",
    metrics: Collection[str] | None = None,
) -> dict[str, dict[str, Metric]]:
    """Return the measures that apply: by name, then by view or pair of views.

    Parameters
    ----------
    dataset : MultiviewDataset
        What the model was trained on.
    output : mapping
        The model's output, which says which views have topics and inferred items.
    partition : {'test', 'validation', 'train'}
        For measures of documents.
    metrics : collection of str, optional
        Names among `METRICS`. Default: all.

    Raises
    ------
    SettingsError
        If a name is unknown.
    """
    if not isinstance(output, Mapping):
        raise DataError(
            f"the output is a {type(output).__name__}; expected what train_model returned (a model "
            "that is not trained yet has none)."
        )
    for name in metrics or ():
        if name not in METRICS:
            raise SettingsError(f"unknown metric '{name}'.{suggest(name, METRICS)}")
    check_partition(partition)
    wanted = [name for name in METRICS if metrics is None or name in metrics]
    inferred = [v for v in dataset.views if f"{THETA_KEYS[partition]}/{v}" in output]
    spoken = [v for v in dataset.text_views if f"topics/{v}" in output]
    if not inferred and not spoken:
        raise DataError(
            "the output names no view of the data set: it is of one view, as OCTIS's own models "
            "give. Score it measure by measure: NPMI(dataset, 'de').score(output)."
        )
    if len(inferred) > 1 and not any(len(output[f"{THETA_KEYS[partition]}/{v}"]) for v in inferred):
        warnings.warn(
            f"the {partition} partition holds no items: there is nothing to retrieve, and only "
            "measures of topics are given; score another partition, or split the data anew "
            "(dataset.with_split).",
            stacklevel=2,
        )
    found: dict[str, dict[str, Metric]] = {name: {} for name in wanted}
    for name in wanted:
        kind: Any = METRICS[name]
        if name in _ORDERED or name in _UNORDERED:
            pairs = permutations(inferred, 2) if name in _ORDERED else combinations(inferred, 2)
            for first, second in pairs:
                if _share_tuples(dataset, first, second, partition):
                    found[name][f"{first}-{second}"] = kind(dataset, first, second, partition)
        else:
            for view in spoken:
                found[name][view] = kind(dataset, view)
    return {name: measures for name, measures in found.items() if measures}


def score_all(
    dataset: "MultiviewDataset",
    output: Mapping[str, Any],
    partition: str = "test",
    metrics: Collection[str] | None = None,
) -> dict[str, dict[str, float]]:
    """Return the score of every measure that applies: by name, then by view or pair of views.

    Parameters
    ----------
    dataset, output, partition, metrics
        As for `applicable`.
    """
    return {
        name: {where: metric.score(output) for where, metric in measures.items()}
        for name, measures in applicable(dataset, output, partition, metrics).items()
    }


def _share_tuples(dataset: "MultiviewDataset", first: str, second: str, partition: str) -> bool:
    sides = [dataset.tuples(v)[dataset.view(v).rows(partition)] for v in (first, second)]
    return bool(set(sides[0].tolist()) & set(sides[1].tolist()))
