"""One run of a search: a model is trained with some hyperparameters and one seed, and scored."""

import copy
import gc
import math
import random
import shutil
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from octis.models.model import save_model_output
from pydantic import BeforeValidator

from octis_m3l.data.adopt import partition_sizes
from octis_m3l.devices import on_device
from octis_m3l.errors import OtherRunError, SettingsError
from octis_m3l.files import written_whole
from octis_m3l.metrics import OnView
from octis_m3l.metrics.base import partitions_read, score_of
from octis_m3l.metrics.scores import name_of, reason
from octis_m3l.models.base import TopicModel

_TEST_KEYS = "test-"
# JSON has no NaN.
_Score = Annotated[float, BeforeValidator(lambda score: math.nan if score is None else score)]


@dataclass(frozen=True)
class Task:
    """A run that is to be executed."""

    call: int  # which point of the search
    run: int  # which run of the point
    hyperparameters: dict[str, Any]
    seed: int
    device: str | None = None  # None: the model's own setting


@dataclass(frozen=True)
class Outcome:
    """The result of a run, as JSON can hold it."""

    call: int
    run: int
    seed: int
    scores: list[_Score] | None = None  # NaN where an extra metric failed; None: the run failed
    seconds: float = 0.0
    error: str | None = None  # why the run failed; beside scores, what else went wrong
    trace: str | None = None


@dataclass
class Job:
    """What all runs of a search share."""

    model: Any  # each run trains a copy
    dataset: Any
    metrics: Sequence[Any]  # the first steers the search, the others are reported
    top_words: int = 10
    models: Path | None = None  # a folder for the runs' outputs
    checkpoints: Path | None = None  # a folder for unfinished runs of this package's models
    test_allowed: bool = False  # whether the first metric may see test documents
    threads: int | None = None  # None: the model's own setting

    def do(self, task: Task) -> Outcome:
        """Execute a run; whatever a model or a metric raises is recorded as its error."""
        started = time.perf_counter()
        scores, error, trace = None, None, None
        try:
            with seeded(task.seed):
                scores, error = self._scores(task)
        except (Exception, SystemExit) as raised:
            error, trace = f"{type(raised).__name__}: {raised}", traceback.format_exc()
        seconds = time.perf_counter() - started
        # Collecting takes tenths of a second, which tiny models would notice.
        if seconds > 1.0:
            gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return Outcome(task.call, task.run, task.seed, scores, seconds, error, trace)

    def _scores(self, task: Task) -> tuple[list[float], str | None]:
        """Return the scores, and what else went wrong."""
        name = f"{task.call}_{task.run}"
        checkpoint = None if self.checkpoints is None else self.checkpoints / name
        output = self._trained(task, checkpoint)
        steer = _finite_score if self.test_allowed else _score_without_test
        scores, errors = [steer(self.metrics[0], output)], []
        for metric in self.metrics[1:]:
            try:
                scores.append(_finite_score(metric, output))
            except Exception as error:
                scores.append(math.nan)
                errors.append(f"{name_of(metric)} has no score: {reason(error)}")
        if self.models is not None:
            try:
                with written_whole(self.models / f"{name}.npz") as temporary:
                    save_model_output(output, str(temporary))
            except Exception as error:
                errors.append(f"its output was not saved ({type(error).__name__}: {error})")
        if checkpoint is not None:
            shutil.rmtree(checkpoint, ignore_errors=True)
        return scores, "; ".join(errors) or None

    def _trained(self, task: Task, checkpoint: Path | None) -> Any:
        """Train a copy of the model, and return its output."""
        model, hyperparameters = fresh(self.model), dict(task.hyperparameters)
        if isinstance(model, TopicModel):
            own = {"seed": task.seed, "device": task.device, "threads": self.threads}
            known = model.settings_class.model_fields
            hyperparameters |= {n: v for n, v in own.items() if v is not None and n in known}
            model.checkpoint = checkpoint
        else:
            hyperparameters |= own_seed(model, task.seed)
        with on_device(task.device):
            try:
                return model.train_model(self.dataset, hyperparameters, self.top_words)
            except OtherRunError:
                # The checkpoint was left by another search.
                if checkpoint is None:
                    raise
                shutil.rmtree(checkpoint)
                return model.train_model(self.dataset, hyperparameters, self.top_words)


def own_seed(model: Any, seed: int) -> dict[str, int]:
    """Return the hyperparameters by which any other model takes a seed, set to `seed`."""
    return {name: seed for name in ("random_state", "seed") if name in model.hyperparameters}


def fresh(model: Any) -> Any:
    """Return a copy to train, without anything left by earlier runs."""
    if not isinstance(model, TopicModel):
        return copy.deepcopy(model)
    new = copy.copy(model)
    new.runs, new.output, new.dataset, new.history = 0, None, None, None
    new.progress = False
    return new


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, numpy and torch, and restore them afterwards.

    Models that take no seed draw from these.
    """
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices, device_type="cuda"):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002


def check_metrics(metrics: Sequence[Any], dataset: Any) -> None:
    """Reject a first metric that reads test documents; warn of others that do."""
    for position, metric in enumerate(metrics):
        if "test" in partitions_read(metric):
            name = type(metric.metric if isinstance(metric, OnView) else metric).__name__
            reads = f"{name} reads documents of the test partition"
            remedy = (
                "score the validation partition (documents='validation' or partition='validation'; "
                "instead of a classifier of OCTIS CrosslingualClassification(dataset, view, view, "
                "'validation'))"
            )
            if position == 0:
                raise SettingsError(
                    f"{reads}, which a search must not see; {remedy}. To search by it all the "
                    "same: test_allowed=True."
                )
            warnings.warn(
                f"{reads}. An extra metric is reported and does not steer the search; choosing "
                f"among the calls by it would be fitting to the test partition: {remedy}.",
                stacklevel=3,
            )
        texts = getattr(metric, "texts", getattr(metric, "_texts", None))
        if texts is not None and partition_sizes(dataset)[2] and texts == dataset.get_corpus():
            warnings.warn(
                f"{type(metric).__name__} counts words in all documents, including those of the "
                "test partition; to leave these out, give it "
                "texts=dataset.get_partitioned_corpus()[0].",
                stacklevel=3,
            )


def _finite_score(metric: Any, output: Mapping[str, Any]) -> float:
    """Return a metric's score, or raise if it is not finite."""
    score = score_of(metric, output)
    if not math.isfinite(score):
        raise ValueError(f"{type(metric).__name__} is {score}")
    return score


def _score_without_test(metric: Any, output: Mapping[str, Any]) -> float:
    """Return a metric's score of an output from which the test documents are removed."""
    visible: Any = copy.copy(output)
    for key in [key for key in visible if key.startswith(_TEST_KEYS)]:
        del visible[key]
    try:
        return _finite_score(metric, visible)
    except KeyError as error:
        if not str(error.args[0]).startswith(_TEST_KEYS):
            raise
        raise SettingsError(
            f"{type(metric).__name__} looks at the test partition, which a search must not see; "
            "score validation documents, or, to search by it all the same, test_allowed=True."
        ) from None
