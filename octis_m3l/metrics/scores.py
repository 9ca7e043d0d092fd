"""Every measure that applies to a model's output, in one table."""

import warnings
from collections.abc import Collection, Mapping
from itertools import combinations, permutations, product
from typing import TYPE_CHECKING, Any

from octis_m3l.errors import DataError, SettingsError, suggest
from octis_m3l.metrics.base import Metric, check_dataset
from octis_m3l.metrics.classification import CrosslingualClassification
from octis_m3l.metrics.cnpmi import CNPMI
from octis_m3l.metrics.document_npmi import DocumentNPMI
from octis_m3l.metrics.jsd import JSD
from octis_m3l.metrics.mrr import MRR
from octis_m3l.metrics.npmi import NPMI
from octis_m3l.metrics.outputs import THETA_KEYS, check_partition
from octis_m3l.metrics.topic_quality import TopicQuality
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
    "cnpmi": CNPMI,
    "topic-quality": TopicQuality,
    "classification": CrosslingualClassification,
    "classification-f1": CrosslingualClassification,
}
# Fewer documents say little of how often words meet: then only where asked for.
_ENOUGH = 200
_RETRIEVAL = ("mrr", "uap", "jsd")
_ACROSS = ("cnpmi", "topic-quality")
_LABELS: dict[str, dict[str, Any]] = {
    "classification": {"score_by": "accuracy"},
    "classification-f1": {"score_by": "macro-f1"},
}


def applicable(
    dataset: "MultiviewDataset",
    output: Mapping[str, Any],
    partition: str = "test",
    metrics: Collection[str] | None = None,
    *,
    topk: int = 10,
    corpus: "MultiviewDataset | None" = None,
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
        Names among `METRICS`. Default: all; those that count words in linked held-out documents
        only where there are 200 or more of these.
    topk : int
        How many of a topic's words the measures of topics look at.
    corpus : MultiviewDataset, optional
        Linked documents that CNPMI counts words in; its views are found by name, or else by
        language. Default: the data set's own, held out.

    Raises
    ------
    SettingsError
        If a name is unknown.
    """
    for given in (dataset,) if corpus is None else (dataset, corpus):
        check_dataset(given, "scoring")
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
    asked = metrics is not None
    kinds: dict[str, Any] = {name: METRICS[name] for name in wanted}
    found: dict[str, dict[str, Metric]] = {}
    for name, kind in kinds.items():
        if name in _RETRIEVAL:
            pairs = combinations(inferred, 2) if name == "jsd" else permutations(inferred, 2)
            found[name] = {
                f"{first}-{second}": kind(dataset, first, second, partition)
                for first, second in pairs
                if _shared_tuples(dataset, first, second, [partition])
            }
        elif name in _ACROSS:
            found[name] = _counted(dataset, kind, spoken, asked, topk, corpus, partition)
        elif name in _LABELS:
            found[name] = {
                f"{first}-{second}": kind(dataset, first, second, partition, **_LABELS[name])
                for first, second in product(inferred, repeat=2)
                if _share_labels(dataset, output, first, second, partition)
            }
        else:
            found[name] = {view: kind(dataset, view, topk) for view in spoken}
    return {name: measures for name, measures in found.items() if measures}


def score_all(
    dataset: "MultiviewDataset",
    output: Mapping[str, Any],
    partition: str = "test",
    metrics: Collection[str] | None = None,
    *,
    topk: int = 10,
    corpus: "MultiviewDataset | None" = None,
) -> dict[str, dict[str, float]]:
    """Return the score of every measure that applies: by name, then by view or pair of views.

    Parameters
    ----------
    dataset, output, partition, metrics, topk, corpus
        As for `applicable`.
    """
    measures = applicable(dataset, output, partition, metrics, topk=topk, corpus=corpus)
    return {
        name: {where: metric.score(output) for where, metric in by_view.items()}
        for name, by_view in measures.items()
    }


def _counted(
    dataset: "MultiviewDataset",
    kind: Any,
    spoken: Collection[str],
    asked: bool,
    topk: int,
    corpus: "MultiviewDataset | None",
    partition: str,
) -> dict[str, Metric]:
    """Return the measures that count words in linked documents, for each two languages.

    In the data set's own, all that are held out; but who scores the validation partition does so
    to choose by it, and then no test document may be counted.
    """
    places = ["validation"] if partition == "validation" else ["validation", "test"]
    documents = "validation" if partition == "validation" else "auto"
    found: dict[str, Metric] = {}
    for first, second in combinations(spoken, 2):
        if corpus is None:
            held_out = _shared_tuples(dataset, first, second, places)
            if held_out >= (1 if asked else _ENOUGH):
                options = {"documents": documents}
                found[f"{first}-{second}"] = kind(dataset, first, second, topk, **options)
            continue
        views = [_view_of_language(dataset, view, corpus) for view in (first, second)]
        known = set(views) <= set(corpus.text_views) and len(set(views)) == 2
        if known and _shared_tuples(corpus, views[0], views[1], tuple(THETA_KEYS)):
            found[f"{first}-{second}"] = kind(dataset, first, second, topk, corpus, *views)
    if corpus is not None and not found:
        raise DataError(
            f"the reference corpus ({', '.join(corpus.text_views)}) links no two of the languages "
            f"{', '.join(spoken)}; give one that does, with views of the same names or languages."
        )
    return found


def _view_of_language(dataset: "MultiviewDataset", view: str, corpus: "MultiviewDataset") -> str:
    language = dataset.text_view(view).language
    if view in corpus.text_views or language is None:
        return view
    alike = [name for name, other in corpus.text_views.items() if other.language == language]
    return alike[0] if alike else view


def _shared_tuples(
    dataset: "MultiviewDataset", first: str, second: str, partitions: Collection[str]
) -> int:
    sides = [
        {number for p in partitions for number in dataset.tuples(v)[dataset.view(v).rows(p)]}
        for v in (first, second)
    ]
    return len((sides[0] & sides[1]) - {-1})


def _share_labels(
    dataset: "MultiviewDataset", output: Mapping[str, Any], first: str, second: str, partition: str
) -> bool:
    """Say whether there are labels to learn, two or more, and to be asked for."""
    sides = []
    for name, part in ((first, "train"), (second, partition)):
        view = dataset.view(name)
        if view.labels is None or f"{THETA_KEYS[part]}/{name}" not in output:
            return False
        sides.append(set(view.labels[view.rows(part)]) - {""})
    return len(sides[0]) > 1 and bool(sides[0] & sides[1])
