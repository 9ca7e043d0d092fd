"""One run of a comparison: a contender is trained from one seed, and scored."""

import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from octis_m3l.comparison.contenders import Contender, Terms
from octis_m3l.comparison.result import Measured, Run
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.metrics import METRICS
from octis_m3l.metrics.base import Metric, mean_of_items, score_of
from octis_m3l.metrics.on_view import output_of_view
from octis_m3l.metrics.scores import applicable, reason
from octis_m3l.search.runs import Job, Outcome, Task

ACROSS_ONLY = ("mrr", "uap", "jsd", "cnpmi", "topic-quality")
_COUNTED = ("cnpmi", "topic-quality")
# Measures of one view and of pairs of views, which are not to be averaged.
_WITHIN_TOO = ("classification", "classification-f1")
_NAMES_OF_VIEWS = ("query", "target", "first", "second", "view")


@dataclass(frozen=True)
class Compared(Outcome):
    """What came of a run, with its scores."""

    result: Run | None = None


@dataclass
class ComparisonJob(Job):
    """What all runs share."""

    contenders: Mapping[str, Contender] = field(default_factory=dict)
    terms: Terms = field(default_factory=Terms)
    measures: Sequence[str] | None = None
    others: Mapping[str, Any] = field(default_factory=dict)
    topk: int = 10
    corpus: MultiviewDataset | None = None
    _said: set[str] = field(default_factory=set)

    def do(self, task: Task) -> Outcome:
        """Return what comes of a run."""
        self._result: Run | None = None
        outcome = super().do(task)
        return Compared(**vars(outcome), result=self._result if outcome.error is None else None)

    def _scores(self, task: Task) -> tuple[list[float], str | None]:
        name, contender = list(self.contenders.items())[task.call]
        terms = self.terms if task.device is None else replace(self.terms, device=task.device)
        started = time.perf_counter()
        with self._named_warnings(name):
            output = contender.run(self.dataset, task.seed, task.run, terms)
            measured, notes = self._measured(output, contender.aligned)
        topics = {}
        for view, of_view in self.dataset.text_views.items():
            if f"topics/{view}" in output:
                words = of_view.vocabulary
                topics[view] = [[words[int(w)] for w in t] for t in output[f"topics/{view}"]]
        seconds = time.perf_counter() - started
        self._result = Run(name, task.seed, seconds, measured, topics, notes)
        return [], None

    @contextmanager
    def _named_warnings(self, name: str) -> Iterator[None]:
        """Say whom a warning is about, and say it once, not for every seed."""
        heard: list[warnings.WarningMessage] = []
        try:
            with warnings.catch_warnings(record=True) as heard:
                yield
        finally:
            for one in heard:
                text: Any = one.message
                if issubclass(one.category, UserWarning):
                    text = f"{name}: {one.message}"
                if str(text) not in self._said:
                    self._said.add(str(text))
                    warnings.warn_explicit(text, one.category, one.filename, one.lineno)

    def _measured(
        self, output: Mapping[str, Any], aligned: bool
    ) -> tuple[dict[str, dict[str, Measured]], dict[str, str]]:
        """Return the scores, and why a measure has none: a run is not lost for that."""
        found: dict[str, dict[str, Measured]] = {}
        notes: dict[str, str] = {}
        for name, by_view in self._applying(output, notes).items():
            for where, metric in by_view.items():
                views = _views_of(metric)
                if len(views) == 1:
                    label, place = name, views.pop()
                elif aligned:
                    label = f"{name} across" if name in _WITHIN_TOO else name
                    place = where
                else:
                    continue
                entry = _measure(metric, output, f"{label} of {place}", notes)
                if entry is not None:
                    found.setdefault(label, {})[place] = entry
        if self.others:
            # Metrics of OCTIS read the pivot's keys, which not every contender gives.
            output = {**output_of_view(output, self.dataset.pivot, self.dataset), **output}
        for name, other in self.others.items():
            entry = _measure(other, output, name, notes)
            if entry is not None:
                found[name] = {"": entry}
        return found, notes

    def _applying(
        self, output: Mapping[str, Any], notes: dict[str, str]
    ) -> dict[str, dict[str, Metric]]:
        options: dict[str, Any] = {"topk": self.topk, "corpus": self.corpus}
        spoken = [view for view in self.dataset.text_views if f"topics/{view}" in output]
        wanted = self.measures
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            if self.corpus is not None and len(spoken) < 2:
                options["corpus"] = None
                wanted = [n for n in (METRICS if wanted is None else wanted) if n not in _COUNTED]
            try:
                return applicable(self.dataset, output, self.terms.partition, wanted, **options)
            except DataError as error:
                if options["corpus"] is None:
                    raise
                notes["cnpmi"] = str(error)
            options["corpus"] = None
            rest = [n for n in (METRICS if wanted is None else wanted) if n not in _COUNTED]
            return applicable(self.dataset, output, self.terms.partition, rest, **options)


def _views_of(metric: Metric) -> set[str]:
    return {getattr(metric, name) for name in _NAMES_OF_VIEWS if hasattr(metric, name)}


def _measure(
    metric: Any, output: Mapping[str, Any], what: str, notes: dict[str, str]
) -> Measured | None:
    higher = getattr(metric, "direction", "higher") == "higher"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            # These items are left out of the score.
            warnings.filterwarnings("always", message=".* is not finite for")
            if getattr(metric, "same_items", False):
                items = np.asarray(metric.per_item(output), np.float64)
                entry = Measured(mean_of_items(items), higher, items, metric.item_tuples())
            else:
                entry = Measured(score_of(metric, output), higher)
    except Exception as error:
        notes[what] = reason(error)
        return None
    if not math.isfinite(entry.score):
        notes[what] = f"it is {entry.score}"
        return None
    return entry
