"""Every measure that applies to a model's output, in one table."""

import math
import warnings
from collections.abc import Collection, Iterable, Mapping
from inspect import signature
from itertools import combinations, count, permutations, product
from typing import TYPE_CHECKING, Any

from octis_m3l.errors import DataError, OctisM3LError, SettingsError, suggest
from octis_m3l.metrics import METRICS
from octis_m3l.metrics.base import Metric, check_dataset, score_of
from octis_m3l.metrics.outputs import (
    THETA_KEYS,
    check_output,
    check_partition,
    check_topk,
    partition_rows,
)

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

# Fewer documents say little of how often words meet: then only where asked for.
_ENOUGH = 200
_RETRIEVAL = ("mrr", "uap", "jsd")
_ACROSS = ("cnpmi", "topic-quality")
_LABELS: dict[str, dict[str, Any]] = {
    "classification": {"score_by": "accuracy"},
    "classification-f1": {"score_by": "macro-f1"},
}
_NEEDS_DOCUMENTS = (
    "counts words in linked documents, and none are held out here: corpus=… (--corpus FOLDER) "
    "names some."
)
_NEEDS_LABELS = "needs labels that the training documents and those of the partition share."
_NEEDS = {
    "cnpmi": _NEEDS_DOCUMENTS,
    "topic-quality": _NEEDS_DOCUMENTS,
    "classification": _NEEDS_LABELS,
    "classification-f1": _NEEDS_LABELS,
    "tu": "needs a view of texts.",
    "npmi": "needs a view of texts.",
    "document-npmi": "needs a view of texts.",
}


def check_name(name: Any) -> str:
    """Return the name of a measure if there is one of that name."""
    if not isinstance(name, str) or name not in METRICS:
        given = str(getattr(name, "__name__", name))
        raise SettingsError(f"unknown metric '{given}'.{suggest(given, METRICS)}")
    return str(name)


def name_of(metric: Any) -> str:
    """Return what a metric calls itself."""
    info = metric.info() if callable(getattr(metric, "info", None)) else None
    return str((info or {}).get("name") or type(metric).__name__)


def check_built(metric: Any, instead: str = "") -> Any:
    """Return a metric if it is one, and no class or name of one."""
    if isinstance(metric, type) or not callable(getattr(metric, "score", None)):
        shown = f"the class {metric.__name__}" if isinstance(metric, type) else repr(metric)
        raise SettingsError(
            f"{shown} is no metric; expected one that is built already, such as "
            f"OverViews(dataset, 'mrr', 'validation'){instead}."
        )
    return metric


def chosen_metrics(metrics: Any) -> tuple[list[str] | None, dict[str, Any]]:
    """Return the measures that are given by name, and further metrics, each with a name."""
    if metrics is None:
        return None, {}
    given = [metrics] if isinstance(metrics, str) or not isinstance(metrics, Iterable) else metrics
    names: list[str] = []
    own: dict[str, Any] = {}
    for one in given:
        if isinstance(one, str):
            names.append(check_name(one))
            continue
        title = name_of(check_built(one, f", or a name ({', '.join(METRICS)})"))
        numbered = (title if n == 1 else f"{title} {n}" for n in count(1))
        own[next(n for n in numbered if n not in own and n not in METRICS)] = one
    return list(dict.fromkeys(names)), own


def missing(metrics: Any, found: Collection[str], partition: str) -> list[str]:
    """Return, for each measure that was asked for by name and does not apply, what it needs."""
    linked = f"needs items of two views that are linked in the {partition} partition."
    names, _ = chosen_metrics(metrics)
    return [f"'{n}' {_NEEDS.get(n, linked)}" for n in names or () if n not in found]


def applicable(
    dataset: "MultiviewDataset",
    output: Mapping[str, Any],
    partition: str = "test",
    metrics: Any = None,
    *,
    topk: int = 10,
    corpus: "MultiviewDataset | None" = None,
) -> dict[str, dict[str, Any]]:
    """Return the measures that apply: by name, then by view or pair of views.

    Parameters
    ----------
    dataset : MultiviewDataset
        What the model was trained on.
    output : mapping
        The model's output, which says which views have topics and inferred items.
    partition : {'test', 'validation', 'train'}
        For measures of documents.
    metrics : str, or collection of str and OCTIS metrics, optional
        Names among `METRICS`; metrics of one's own have the place ''. Default: all that there is
        data for; those that count words in linked held-out documents only where there are 200 or
        more of these.
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
    check_output(output)
    metrics, own = chosen_metrics(metrics)
    check_partition(partition)
    check_topk(topk, lowest=1)
    wanted = [name for name in METRICS if metrics is None or name in metrics]
    inferred = [v for v in dataset.views if f"{THETA_KEYS[partition]}/{v}" in output]
    spoken = [v for v in dataset.text_views if f"topics/{v}" in output]
    if not inferred and not spoken and not own:
        raise DataError(
            "the output names no view of the data set: it is of one view, as OCTIS's own models "
            "give. Score it measure by measure: NPMI(dataset, 'de').score(output)."
        )
    if len(inferred) > 1 and not any(len(partition_rows(dataset, v, partition)) for v in inferred):
        warnings.warn(
            f"the {partition} partition holds no items: there is nothing to retrieve, and only "
            "measures of topics are given; score another partition, or split the data anew "
            "(dataset.with_split).",
            stacklevel=2,
        )
    asked = metrics is not None
    kinds: dict[str, Any] = {name: METRICS[name] for name in wanted}
    found: dict[str, dict[str, Any]] = {}
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
            options = {"topk": topk, "partition": partition}
            takes = {n: v for n, v in options.items() if n in signature(kind).parameters}
            if "topk" not in takes or topk > 1 or asked or name == "tu":
                views = inferred if "partition" in takes else spoken
                found[name] = {view: kind(dataset, view, **takes) for view in views}
    found |= {name: {"": metric} for name, metric in own.items()}
    return {name: measures for name, measures in found.items() if measures}


def score_all(
    dataset: "MultiviewDataset",
    output: Mapping[str, Any],
    partition: str = "test",
    metrics: Any = None,
    *,
    topk: int = 10,
    corpus: "MultiviewDataset | None" = None,
) -> dict[str, dict[str, float]]:
    """Return the score of every measure that applies: by name, then by view or pair of views.

    A measure that can't be taken is NaN, with a warning that says why.

    Parameters
    ----------
    dataset, output, partition, metrics, topk, corpus
        As for `applicable`.
    """
    measures = applicable(dataset, output, partition, metrics, topk=topk, corpus=corpus)
    for message in missing(metrics, measures, partition):
        warnings.warn(message, stacklevel=2)
    return scores_of(measures, output)


def scores_of(
    measures: Mapping[str, Mapping[str, Any]], output: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """Return each measure's score; NaN, with a warning, where it can't be taken."""
    return {
        name: {where: _score(metric, output, name, where) for where, metric in by_view.items()}
        for name, by_view in measures.items()
    }


def _score(metric: Any, output: Mapping[str, Any], name: str, where: str) -> float:
    try:
        score = score_of(metric, output)
        why = f"it is {score}"
    except Exception as error:
        score, why = math.nan, reason(error)
    if math.isfinite(score):
        return score
    warnings.warn(f"{name}{where and f' of {where}'} has no score: {why}", stacklevel=3)
    return math.nan


def reason(error: Exception) -> str:
    """Return why something failed: what our errors say; of others the kind and the first line."""
    if isinstance(error, OctisM3LError):
        return str(error)
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


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
