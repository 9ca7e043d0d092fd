"""Every metric that applies to a model's output: in one table, or one metric in one number."""

import math
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from inspect import signature
from itertools import count
from typing import Any

import numpy as np
from octis.evaluation_metrics.metrics import AbstractMetric

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, OctisM3LError, SettingsError
from octis_m3l.metrics import METRICS
from octis_m3l.metrics.base import Metric, check_dataset, score_of
from octis_m3l.metrics.outputs import (
    Request,
    check_option,
    check_output,
    check_partition,
    check_whole,
    partition_rows,
    possible_output,
)


def name_of(metric: Any) -> str:
    """Return the name that a metric of any package gives itself."""
    info = metric.info() if callable(getattr(metric, "info", None)) else None
    return str((info or {}).get("name") or type(metric).__name__)


def check_built(metric: Any, instead: str = "") -> Any:
    """Return a metric if it is an object with a score, and not a class or a name."""
    if isinstance(metric, type) or not callable(getattr(metric, "score", None)):
        shown = f"the class {metric.__name__}" if isinstance(metric, type) else repr(metric)
        raise SettingsError(
            f"{shown} is no metric; expected one that is built already, such as "
            f"OverViews(dataset, 'mrr', 'validation'){instead}."
        )
    return metric


def chosen_metrics(metrics: Any) -> tuple[list[str] | None, dict[str, Any]]:
    """Return the metrics that are given by name, and the user's own metrics, each with a name."""
    if metrics is None:
        return None, {}
    given = [metrics] if isinstance(metrics, str) or not isinstance(metrics, Iterable) else metrics
    names: list[str] = []
    own: dict[str, Any] = {}
    for one in given:
        if isinstance(one, str):
            names.append(check_option("metric", one, METRICS))
            continue
        title = name_of(check_built(one, f", or a name ({', '.join(METRICS)})"))
        numbered = (title if n == 1 else f"{title} {n}" for n in count(1))
        own[next(n for n in numbered if n not in own and n not in METRICS)] = one
    return list(dict.fromkeys(names)), own


def missing(metrics: Any, found: Collection[str], partition: str) -> list[str]:
    """Return, for each metric that was asked for by name and does not apply, what it needs."""
    names, _ = chosen_metrics(metrics)
    return [
        f"'{name}' {METRICS[name].needs.format(partition=partition)}"
        for name in names or ()
        if name not in found
    ]


def applicable(
    dataset: MultiviewDataset,
    output: Mapping[str, Any],
    partition: str = "test",
    metrics: Any = None,
    *,
    topk: int = 10,
    corpus: MultiviewDataset | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the metrics that apply: by name, then by view or pair of views.

    Parameters
    ----------
    dataset : MultiviewDataset
        What the model was trained on.
    output : mapping
        The model's output, which says which views have topics and inferred items.
    partition : {'test', 'validation', 'train'}
        For metrics of documents.
    metrics : str, or collection of str and OCTIS metrics, optional
        Names in `METRICS`; the user's own metrics have the place ''. Default: all that there is
        data for; those that count words in linked held-out documents only if there are 200 or
        more of these.
    topk : int
        How many of a topic's words metrics of topics look at.
    corpus : MultiviewDataset, optional
        Linked documents that CNPMI counts words in; its views are found by name, or else by
        language. Default: the data set's own, held out.
    """
    for given in (dataset,) if corpus is None else (dataset, corpus):
        check_dataset(given, "scoring")
    check_output(output)
    names, own = chosen_metrics(metrics)
    check_partition(partition)
    check_whole("topk", topk, 1)
    request = Request("", dataset, output, partition, topk, corpus, explicit=metrics is not None)
    inferred = request.inferred_views
    if not inferred and not request.topic_views and not own:
        raise DataError(
            "the output names no view of the data set: it is of one view, as OCTIS's own models "
            "give. Score it metric by metric: NPMI(dataset, 'de').score(output)."
        )
    if len(inferred) > 1 and not any(len(partition_rows(dataset, v, partition)) for v in inferred):
        warnings.warn(
            f"the {partition} partition holds no items: there is nothing to retrieve, and only "
            "metrics of topics are given; score another partition, or split the data anew "
            "(dataset.with_split).",
            stacklevel=2,
        )
    found: dict[str, dict[str, Any]] = {
        name: {**METRICS[name].applied(replace(request, name=name))}
        for name in METRICS
        if names is None or name in names
    }
    found |= {name: {"": metric} for name, metric in own.items()}
    return {name: by_view for name, by_view in found.items() if by_view}


def score_all(
    dataset: MultiviewDataset,
    output: Mapping[str, Any],
    partition: str = "test",
    metrics: Any = None,
    *,
    topk: int = 10,
    corpus: MultiviewDataset | None = None,
) -> dict[str, dict[str, float]]:
    """Return the score by every metric that applies: by name, then by view or pair of views.

    A score that can't be computed is NaN, with a warning that says why. The arguments are those of
    `applicable`.
    """
    found = applicable(dataset, output, partition, metrics, topk=topk, corpus=corpus)
    for message in missing(metrics, found, partition):
        warnings.warn(message, stacklevel=2)
    return scores_of(found, output)


def scores_of(
    metrics: Mapping[str, Mapping[str, Any]], output: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """Return each metric's score; NaN, with a warning, where it can't be computed."""
    return {
        name: {where: _score(metric, output, name, where) for where, metric in by_view.items()}
        for name, by_view in metrics.items()
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
    """Return the message of an error of ours; of others the kind and the first line."""
    if isinstance(error, OctisM3LError):
        return str(error)
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


class OverViews(AbstractMetric):  # type: ignore[misc]
    """The mean of a metric over all views, or pairs of views, that it applies to.

    Parameters
    ----------
    dataset : MultiviewDataset
        What the model is trained on.
    measure : str
        A name in `METRICS`: 'mrr', 'tu', …
    partition : {'test', 'validation', 'train'}
        For metrics of documents.
    topk : int
        For metrics of topics: how many words they look at.
    """

    def __init__(
        self,
        dataset: MultiviewDataset,
        measure: str = "mrr",
        partition: str = "test",
        topk: int = 10,
    ) -> None:
        super().__init__()
        check_dataset(dataset, type(self).__name__)
        self.measure = check_option("metric", measure, METRICS)
        self.partition = check_partition(partition)
        self.topk = check_whole("topk", topk, 1)
        self.direction, self.range = METRICS[measure].direction, METRICS[measure].range
        self._dataset = dataset

    def check(self) -> None:
        """Raise if the metric can apply to no model of the data set, before one is trained."""
        self._possible()

    def _possible(self) -> list[Metric]:
        return self._metrics(possible_output(self._dataset, self.topk), "any model")

    @property
    def partitions(self) -> frozenset[str]:
        """The partitions of the data set whose documents the metric reads."""
        return frozenset().union(*(metric.partitions for metric in self._possible()))

    def score(self, output: Mapping[str, Any]) -> float:
        """Return the mean; DataError says if the metric applies to no view of the output."""
        return float(np.mean([m.score(output) for m in self._metrics(output, "this model")]))

    def _metrics(self, output: Mapping[str, Any], of: str) -> list[Metric]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = applicable(
                self._dataset, output, self.partition, [self.measure], topk=self.topk
            )
        if not found:
            raise DataError(
                f"'{self.measure}' applies to no view and no pair of views of {of} in the "
                f"{self.partition} partition; take another metric, or data with links (labels, "
                "validation items) there."
            )
        return list(found[self.measure].values())

    def get_params(self) -> list[str]:
        """Return the names of the scalar arguments."""
        return ["measure", "partition", "topk"]

    def info(self) -> dict[str, str]:
        """Return a name, and the metric's citation."""
        metric = METRICS[self.measure]
        by_partition = {"partition", "documents"} & {*signature(metric).parameters}
        where = f" ({self.partition})" if by_partition else ""
        name = f"{self.measure}, mean over views{where}"
        return {"name": name, "citation": metric.reference}
