"""One run of a search: a model is trained with some hyperparameters and one seed, and scored."""

import copy
import gc
import math
import random
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from octis.models.model import save_model_output

from octis_m3l.devices import on_device
from octis_m3l.errors import OtherRunError, SettingsError
from octis_m3l.files import written_whole
from octis_m3l.metrics.base import score_of
from octis_m3l.metrics.scores import name_of, reason
from octis_m3l.models.base import TopicModel

_TEST = "test-"


@dataclass(frozen=True)
class Task:
    """What to run.

    Parameters
    ----------
    call, run : int
        Which point of the search, and which of its runs.
    hyperparameters : dict
        The point.
    seed : int
        Of everything drawn in the run.
    device : str, optional
        Where to train. Default: as the model says.
    """

    call: int
    run: int
    hyperparameters: dict[str, Any]
    seed: int
    device: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a run, as JSON can hold it.

    Parameters
    ----------
    call, run, seed
        As of the `Task`.
    scores : list of float, optional
        Of each metric, NaN where a further one could not be taken; None if the run failed.
    seconds : float
        That it took.
    error : str, optional
        Why it failed; or, beside scores, what else went wrong.
    trace : str, optional
        Where it failed.
    """

    call: int
    run: int
    seed: int
    scores: list[float] | None
    seconds: float = 0.0
    error: str | None = None
    trace: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON holds; empty entries are left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the outcome that `as_dict` described.

        Parameters
        ----------
        stored : mapping
            As read from JSON.
        """
        scores = stored.get("scores")
        known = None if scores is None else [math.nan if s is None else float(s) for s in scores]
        return cls(**{**stored, "scores": known})


@dataclass
class Job:
    """What all runs of a search share; goes to every worker once.

    Parameters
    ----------
    model : OCTIS model
        Not changed: each run trains a copy.
    dataset : OCTIS dataset
        The data.
    metrics : sequence of OCTIS metrics
        What each run is scored by.
    top_words : int
        That a topic is shown by.
    models : Path, optional
        A folder for the runs' outputs.
    checkpoints : Path, optional
        A folder where our models keep the state of unfinished runs.
    test_allowed : bool
        Whether the metric that is searched by is shown θ of test documents, as the others are.
    threads : int, optional
        Of our models. Default: as the model says.
    """

    model: Any
    dataset: Any
    metrics: Sequence[Any]
    top_words: int = 10
    models: Path | None = None
    checkpoints: Path | None = None
    test_allowed: bool = False
    threads: int | None = None

    def do(self, task: Task) -> Outcome:
        """Return what comes of a run; whatever a model or a metric raises becomes its error.

        Parameters
        ----------
        task : Task
            The run.
        """
        started = time.perf_counter()
        try:
            with seeded(task.seed):
                scores, unsaved = self._scores(task)
        except (Exception, SystemExit) as error:
            return Outcome(
                task.call,
                task.run,
                task.seed,
                None,
                time.perf_counter() - started,
                f"{type(error).__name__}: {error}",
                traceback.format_exc(),
            )
        finally:
            # Collecting takes tenths of a second, which tiny models would notice.
            if time.perf_counter() - started > 1.0:
                gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        seconds = time.perf_counter() - started
        return Outcome(task.call, task.run, task.seed, scores, seconds, unsaved)

    def _scores(self, task: Task) -> tuple[list[float], str | None]:
        """Return the scores, and what else went wrong."""
        model, parameters = fresh(self.model), dict(task.hyperparameters)
        name = f"{task.call}_{task.run}"
        checkpoint = None
        if isinstance(model, TopicModel):
            fields = model.settings_class.model_fields
            parameters["seed"] = task.seed
            if task.device is not None and "device" in fields:
                parameters["device"] = task.device
            if self.threads is not None:
                parameters["threads"] = self.threads
            if self.checkpoints is not None:
                model.checkpoint = checkpoint = self.checkpoints / name
        else:
            parameters |= own_seed(model, task.seed)
        with on_device(task.device):
            try:
                output = model.train_model(self.dataset, parameters, self.top_words)
            except OtherRunError:
                # Left by a search that is gone.
                if checkpoint is None:
                    raise
                shutil.rmtree(checkpoint)
                output = model.train_model(self.dataset, parameters, self.top_words)
        seen = output if self.test_allowed else without_test(output)
        scores, wrong = [_score(self.metrics[0], seen)], []
        for metric in self.metrics[1:]:
            try:
                scores.append(_score(metric, output))
            except Exception as of_metric:
                # What is searched by is there: the run is not lost.
                scores.append(math.nan)
                wrong.append(f"{name_of(metric)} has no score: {reason(of_metric)}")
        if self.models is not None:
            try:
                with written_whole(self.models / f"{name}.npz") as temporary:
                    save_model_output(output, str(temporary))
            except Exception as of_output:
                said = f"{type(of_output).__name__}: {of_output}"
                wrong.append(f"its output was not saved ({said})")
        if checkpoint is not None:
            shutil.rmtree(checkpoint, ignore_errors=True)
        return scores, "; ".join(wrong) or None


def _score(metric: Any, output: Mapping[str, Any]) -> float:
    """Return a finite score."""
    try:
        score = score_of(metric, output)
    except KeyError as error:
        if str(error.args[0]).startswith(_TEST):
            raise SettingsError(
                f"{type(metric).__name__} looks at the test partition, which a search must not "
                "see; score validation documents, or, to search by it all the same, "
                "test_allowed=True."
            ) from None
        raise
    if not math.isfinite(score):
        raise ValueError(f"{type(metric).__name__} is {score}")
    return score


def without_test(output: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a model's output without what it says of test documents."""
    seen: Any = copy.copy(output)
    for key in [key for key in seen if key.startswith(_TEST)]:
        del seen[key]
    found: Mapping[str, Any] = seen
    return found


def own_seed(model: Any, seed: int) -> dict[str, int]:
    """Return the hyperparameters by which a model of anybody's takes a seed, set to it."""
    return {name: seed for name in ("random_state", "seed") if name in model.hyperparameters}


def fresh(model: Any) -> Any:
    """Return a copy to train, which knows nothing of earlier runs."""
    if not isinstance(model, TopicModel):
        return copy.deepcopy(model)
    new = copy.copy(model)
    new.runs, new.output, new.dataset, new.history = 0, None, None, None
    new.progress = False
    return new


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python's, numpy's and torch's global generators for a while.

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
