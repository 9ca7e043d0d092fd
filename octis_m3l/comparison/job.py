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
from octis_m3l.metrics.outputs import Request
from octis_m3l.metrics.scores import reason
from octis_m3l.search.runs import Job, Outcome, Task


@dataclass(frozen=True)
class Compared(Outcome):
    """The outcome of a run, with its scores."""

    result: Run | None = None


@dataclass
class ComparisonJob(Job):
    """What all runs share."""

    contenders: Mapping[str, Contender] = field(default_factory=dict)
    terms: Terms = field(default_factory=Terms)
    measures: Sequence[str] | None = None
    others: Mapping[str, Any] = field(default_factory=dict)
    corpus: MultiviewDataset | None = None
    _warned: set[str] = field(default_factory=set)

    def do(self, task: Task) -> Outcome:
        """Return the outcome of a run."""
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
        topics = {
            view: [[text.vocabulary[int(w)] for w in topic] for topic in output[f"topics/{view}"]]
            for view, text in self.dataset.text_views.items()
            if f"topics/{view}" in output
        }
        seconds = time.perf_counter() - started
        self._result = Run(name, task.seed, seconds, measured, topics, notes)
        return [], None

    @contextmanager
    def _named_warnings(self, contender: str) -> Iterator[None]:
        """Put the contender's name before each warning, and give it once, not for every seed."""
        caught: list[warnings.WarningMessage] = []
        try:
            with warnings.catch_warnings(record=True) as caught:
                yield
        finally:
            for one in caught:
                text: Any = one.message
                if issubclass(one.category, UserWarning):
                    text = f"{contender}: {one.message}"
                if str(text) not in self._warned:
                    self._warned.add(str(text))
                    warnings.warn_explicit(text, one.category, one.filename, one.lineno)

    def _measured(
        self, output: Mapping[str, Any], aligned: bool
    ) -> tuple[dict[str, dict[str, Measured]], dict[str, str]]:
        """Return the scores, and why some could not be computed: a run does not fail for that."""
        found: dict[str, dict[str, Measured]] = {}
        notes: dict[str, str] = {}
        for name, metrics in self._applicable(output, notes).items():
            for metric in metrics:
                views = dict.fromkeys(metric.views)
                if len(views) > 1 and not aligned:
                    continue
                # Scores within a view and across views are not averaged.
                apart = len(views) > 1 and not metric.compares_views
                label, where = f"{name} across" if apart else name, "-".join(views)
                entry = _measure(metric, output, f"{label} of {where}", notes)
                if entry is not None:
                    found.setdefault(label, {})[where] = entry
        if self.others:
            # Metrics of OCTIS read the pivot's keys, which not every contender gives.
            output = {**output_of_view(output, self.dataset.pivot, self.dataset), **output}
        for name, other in self.others.items():
            entry = _measure(other, output, name, notes)
            if entry is not None:
                found[name] = {"": entry}
        return found, notes

    def _applicable(
        self, output: Mapping[str, Any], notes: dict[str, str]
    ) -> dict[str, list[Metric]]:
        several = sum(f"topics/{view}" in output for view in self.dataset.text_views) > 1
        corpus = self.corpus if several else None
        explicit, partition = self.measures is not None, self.terms.partition
        request = Request("", self.dataset, output, partition, self.top_words, corpus, explicit)
        found = {}
        for name in [name for name in METRICS if not explicit or name in (self.measures or ())]:
            try:
                found[name] = list(METRICS[name].applied(replace(request, name=name)).values())
            except DataError as error:
                notes[name] = str(error)
        return found


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
