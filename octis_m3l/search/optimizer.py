"""OCTIS's Optimizer, with resuming for any model, parallel runs and recorded seeds."""

import copy
import inspect
import math
import shutil
import sys
import time
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from octis.optimization.optimizer import Optimizer as OctisOptimizer
from octis.optimization.optimizer_tool import (
    choose_optimizer,
    early_condition,
    plot_bayesian_optimization,
    plot_model_runs,
)
from tqdm import tqdm

from octis_m3l.errors import OctisM3LError, SettingsError, StorageError
from octis_m3l.files import as_json, damage_errors, held
from octis_m3l.metrics.scores import check_built
from octis_m3l.models.base import TopicModel
from octis_m3l.search.executors import Place
from octis_m3l.search.record import Parts, SearchRecord, read_search, runs_file
from octis_m3l.search.result import SearchResult
from octis_m3l.search.runs import Job, Outcome, Task, check_metrics
from octis_m3l.search.settings import SearchSettings
from octis_m3l.search.spaces import search_space as dimensions_of
from octis_m3l.training import derive_seed

_NEVER_ENDING = 10**9
_HOPELESS = 3
_KERNEL = inspect.signature(OctisOptimizer.optimize).parameters["kernel"].default


class SearchError(OctisM3LError):
    """All runs of a search fail."""


class Optimizer(OctisOptimizer):  # type: ignore[misc]
    """Bayesian search of hyperparameters: OCTIS's Optimizer, and what it lacks.

    Beside OCTIS's: an interrupted search continues as if it had never been interrupted, with any
    model and metric; every run has its own seed, derived from one and recorded, so that searches
    in one process, in several, and resumed ones agree; a run that fails is recorded, and the
    search continues; a metric that reads the test partition can't steer the search; files are
    written whole, and nothing in them is evaluated; memory does not grow with the calls.

    The file ``save_name.json`` is as OCTIS writes it. ``save_name.runs.json`` beside it holds the
    runs, seeds, errors and all else that `resume_optimization` needs.
    """

    outcomes: dict[tuple[int, int], Outcome]
    surrogate_model: str

    def optimize(
        self,
        model: Any,
        dataset: Any,
        metric: Any,
        search_space: Mapping[str, Any] | None = None,
        extra_metrics: Sequence[Any] | None = None,
        *positional: Any,
        batch: int = 1,
        processes: int = 1,
        device: str | Sequence[str] | None = None,
        threads: int | None = None,
        executor: Any = None,
        progress: bool = False,
        test_allowed: bool = False,
        **settings: Any,
    ) -> SearchResult:
        """Begin a search.

        Parameters
        ----------
        model : OCTIS model
            Of this package, OCTIS's or any other; each run trains a copy of it.
        dataset : OCTIS dataset
            The data.
        metric : OCTIS metric
            What is optimized: the median over the runs of a call.
        search_space : mapping of hyperparameter to range, optional
            Ranges as for `search_space`, or scikit-optimize's dimensions. Default: what the model
            declares, except values set explicitly.
        extra_metrics : sequence of OCTIS metrics, optional
            Scored and recorded too. Those that read the test partition cause a warning.
        *positional, **settings
            As of OCTIS's ``optimize``, with its defaults: ``number_of_call``, ``n_random_starts``,
            ``initial_point_generator``, ``optimization_type``, ``model_runs``,
            ``surrogate_model`` ('RF', 'ET', 'GP', or 'RS', random search), ``kernel``,
            ``acq_func``, ``random_state`` (None: one is drawn and recorded), ``x0``, ``y0``,
            ``save_models``, ``save_path``, ``save_name``, ``early_stop``, ``topk``, …
            (``save_step`` changes nothing: every run is recorded as it ends.)
        batch : int
            Points that are proposed together. The course of a search depends on this number, but
            not on where its runs are executed.
        processes : int
            Processes that execute runs: those of a call, and the calls of a batch. At least one
            for each device that is given.
        device : str or sequence of str, optional
            For models of this package that have this hyperparameter; other models train on the
            card that torch uses by default, which is set to it. Several are assigned in turn;
            with several processes, 'cuda' and 'auto' mean all cards.
        threads : int, optional
            Processor threads of each run. Default: the setting of this package's models, one for
            other models.
        executor : function from a Job to an Executor, optional
            Instead of `processes`: ``functools.partial(OnRay, workers=8)``.
        progress : bool
            Whether to show a progress bar.
        test_allowed : bool
            Whether `metric` may read the test partition.

        Raises
        ------
        SettingsError, DataError, StorageError
            Before any run, if something does not fit, `metric` reads the test partition, or there
            is a search of that name at ``save_path`` already.
        KeyboardInterrupt
            After Ctrl-C; `resume_optimization` continues.
        """
        if not isinstance(extra_metrics, Sequence | None) or isinstance(extra_metrics, str):
            raise SettingsError(f"extra_metrics={extra_metrics!r}: expected a list of metrics.")
        metrics = [check_built(each) for each in (metric, *(extra_metrics or ()))]
        if isinstance(model, type):
            raise SettingsError(
                f"the model is the class {model.__name__}; build it: {model.__name__}(…)."
            )
        place = Place.checked(processes, device, threads, executor)
        checked = SearchSettings.checked(positional, {**settings, "batch": batch})
        if ours := isinstance(model, TopicModel):
            model.check(dataset, checked.topk)
        # A Gaussian process normalises dimensions in place: the user's stay as they are.
        space = copy.deepcopy(dimensions_of(model, None, search_space))
        checked.check_points(space)
        if not test_allowed:
            check_metrics(metrics, dataset)
        kernel = settings.get("kernel", _KERNEL)
        with held(checked.file):
            _check_is_new(checked)
            parts = (model, dataset, metrics, space)
            record = SearchRecord.of(
                *parts,
                settings=checked,
                kernel="" if kernel.get_params() == _KERNEL.get_params() else str(kernel),
                seed=int(model.hyperparameters["seed"] if ours else checked.random_state),
                test_allowed=test_allowed,
            )
            return self._search(record, parts, kernel, place, progress)

    def resume_optimization(
        self,
        name_path: str | Path,
        extra_evaluations: int = 0,
        *,
        model: Any = None,
        dataset: Any = None,
        metric: Any = None,
        extra_metrics: Sequence[Any] | None = None,
        kernel: Any = None,
        classes: Collection[type] = (),
        trusted: bool = False,
        processes: int = 1,
        device: str | Sequence[str] | None = None,
        threads: int | None = None,
        executor: Any = None,
        progress: bool = False,
    ) -> SearchResult:
        """Continue a search; the result is that of one that was never interrupted.

        Parameters
        ----------
        name_path : str or Path
            The search's JSON file, with its file of runs beside it, or their folder.
        extra_evaluations : int
            Calls beyond those that the file says.
        model, dataset, metric, extra_metrics, kernel : optional
            What a file can't hold: models with parts of their own, data sets that were never
            saved, metrics with another corpus, a kernel for 'GP' other than OCTIS's.
        classes : collection of class
            Your own models and metrics that the file may name. Classes of OCTIS and of this
            package are known; no other module is imported for a file.
        trusted : bool
            Whether OCTIS's models may read pickles from the paths in the file (its CTM and ETM do).
            A pickle can run any code.
        processes, device, threads, executor, progress
            As for `optimize`.

        Raises
        ------
        StorageError, DataError
            If the file is missing, damaged, of another kind or in use by another process; if it
            names an unknown class, or a model that unpickles; or if the model, a metric or the
            data (with embeddings, labels, word vectors, dictionaries) are not those that the
            search began with.
        """
        if extra_evaluations < 0:
            raise SettingsError(f"extra_evaluations={extra_evaluations}: expected 0 or more.")
        place = Place.checked(processes, device, threads, executor)
        file = Path(name_path).resolve()
        if file.is_dir():
            file /= "result.json"
        # No lock is written beside a file that is no search.
        read_search(file)
        with held(file):
            record = read_search(file)
            given = (model, dataset, metric, extra_metrics)
            with damage_errors(runs_file(file), "copy it again, or begin the search anew"):
                parts = record.parts(*given, classes, trusted=trusted)
            if record.kernel and kernel is None:
                raise StorageError(
                    f"the search had the kernel {record.kernel}; give it again: kernel=…"
                )
            changes = {
                "number_of_call": record.settings.number_of_call + extra_evaluations,
                "save_path": f"{file.parent}/",
                "save_name": file.stem,
            }
            record.settings = record.settings.model_copy(update=changes)
            if all(run.scores is None for run in record.runs):
                # A search of which all runs failed begins again.
                record.runs, record.points = [], []
            return self._search(record, parts, kernel or _KERNEL, place, progress)

    def _search(
        self, record: SearchRecord, parts: Parts, kernel: Any, place: Place, progress: bool
    ) -> SearchResult:
        model, dataset, metrics, space = parts
        self._record, self._place, self._progress = record, place, progress
        self._file, self.batch = record.settings.file, record.settings.batch
        self.outcomes = {(run.call, run.run): run for run in record.runs}
        settings = record.settings.model_dump(exclude={"batch"}) | {"kernel": kernel}
        # The estimator of OCTIS's random search is rejected by current versions of scikit-learn.
        settings["surrogate_model"] = settings["surrogate_model"].replace("RS", "RF")
        result: SearchResult = super().optimize(
            model, dataset, metrics[0], space, list(metrics[1:]), **settings
        )
        return result

    # What OCTIS's `optimize` calls.

    def _check_bo_parameters(self) -> int:
        """Everything has been checked already."""
        self.lenx0 = self._record.settings.given_points
        return 0

    def _optimization_loop(self, opt: Any) -> SearchResult:
        """Propose points, execute their runs, and tell scikit-optimize their values."""
        opt = self._configured(opt)
        checkpoints = self._file.with_name(f"{self._file.stem}.checkpoints")
        found: Any = SimpleNamespace(func_vals=[], x_iters=[], fun=None, models=[])
        if not self._record.points:
            shutil.rmtree(checkpoints, ignore_errors=True)
            self._save(found)
        ours = isinstance(self.model, TopicModel)
        job = Job(
            self.model,
            self.model.adopted(self.dataset) if ours else self.dataset,
            [self.metric, *self.extra_metrics],
            self.topk,
            models=Path(self.model_path_models) if self.save_models else None,
            checkpoints=checkpoints,
            test_allowed=self._record.test_allowed,
            threads=self._place.threads,
        )
        started = time.monotonic()
        bar = tqdm(total=self.number_of_call, unit="call", disable=not self._progress)
        try:
            with self._place.executor_for(job) as executor, bar:
                while (first := len(found.func_vals)) < self.number_of_call:
                    points = self._next_points(opt, first)
                    for outcome in executor.outcomes(self._tasks(points, first)):
                        self._warn_of_first_error(outcome)
                        self.outcomes[outcome.call, outcome.run] = outcome
                        self._save(found)
                    self.current_call = first + len(points) - 1
                    self._check_any_succeeded()
                    values = [self._value(call) for call in range(self.current_call + 1)]
                    # The value of a failed call depends on all that is known by now.
                    opt.yi[:], new = values[:first], values[first:]
                    told = (points[0], new[0]) if self.batch == 1 else (points, new)
                    found = opt.tell(*told)
                    bar.update(len(points))
                    result = self._save(found)
                    bar.set_postfix(best=result.best_score)
                    self._plot(found)
                    if self._stops_early(found):
                        break
        except KeyboardInterrupt:
            print(
                f"stopped after {time.monotonic() - started:.0f} s; to continue: "
                f"Optimizer().resume_optimization({str(self._file)!r}) "
                "(octis-m3l tune: the same command).",
                file=sys.stderr,
            )
            raise
        if checkpoints.is_dir() and not any(checkpoints.iterdir()):
            checkpoints.rmdir()
        return self._save(found)

    def _configured(self, opt: Any) -> Any:
        """Return scikit-optimize's optimizer as OCTIS sets it up, keeping one surrogate model."""
        self.surrogate_model = self._record.settings.surrogate_model
        if self.surrogate_model == "RS":
            # A search that never leaves its random starts is a random search.
            settings = vars(self) | {
                "surrogate_model": "RF",
                "n_random_starts": _NEVER_ENDING,
                "initial_point_generator": "random",
            }
            opt = choose_optimizer(SimpleNamespace(**settings))
        opt.max_model_queue_size = 1
        return opt

    def _next_points(self, opt: Any, first: int) -> list[list[Any]]:
        """Return the next points: those given in x0, then those that are proposed."""
        count = min(self.batch, self.number_of_call - first)
        if first < self.lenx0:
            calls = range(first, min(first + count, self.lenx0))
            points = [[self.x0[name][call] for name in self.hyperparameters] for call in calls]
        else:
            asked = [opt.ask()] if self.batch == 1 else opt.ask(n_points=self.batch)[:count]
            points = as_json(asked)
        recorded = self._record.points
        for call, point in enumerate(points, first):
            if call < len(recorded) and not _is_same_point(recorded[call], point):
                raise StorageError(
                    f"call {call} of this search was at {recorded[call]}, and would now be at "
                    f"{point}: scikit-learn or scikit-optimize has another version than when it "
                    "was begun, or the file was changed. Begin a new search, with what is known "
                    "as x0 and y0."
                )
        recorded[first:] = points + recorded[first + len(points) :]
        return points

    def _tasks(self, points: list[list[Any]], first: int) -> list[Task]:
        """Return the runs that are not recorded yet; scores given in y0 are recorded."""
        tasks = []
        for call, point in enumerate(points, first):
            hyperparameters = dict(zip(self.hyperparameters, point, strict=True))
            for run in range(1 if call < len(self.y0) else self.model_runs):
                seed = derive_seed(self._record.seed, call, run)
                if call < len(self.y0):
                    self.outcomes[call, run] = Outcome(call, run, seed, [float(self.y0[call])])
                elif (call, run) not in self.outcomes:
                    tasks.append(Task(call, run, hyperparameters, seed, self._place.device))
        return tasks

    def _warn_of_first_error(self, outcome: Outcome) -> None:
        if outcome.error and not any(run.error for run in self.outcomes.values()):
            warnings.warn(
                f"call {outcome.call}, run {outcome.run}: {outcome.error}; the search goes on, "
                "and records this and further failures.",
                stacklevel=2,
            )

    def _runs_of(self, call: int) -> list[Outcome]:
        keys = ((call, run) for run in range(self.model_runs))
        return [self.outcomes[key] for key in keys if key in self.outcomes]

    def median(self, call: int) -> float | None:
        """Return a call's median score over the runs that did not fail; None if all did."""
        scores = [outcome.scores[0] for outcome in self._runs_of(call) if outcome.scores]
        return float(np.median(scores)) if scores else None

    def _value(self, call: int) -> float:
        """Return what is minimized; a call that failed is as bad as the worst that is known."""
        sign = -1.0 if self.optimization_type == "Maximize" else 1.0
        median = self.median(call)
        if median is not None:
            return sign * median
        medians = [self.median(other) for other in range(self.current_call + 1)]
        return max((sign * other for other in medians if other is not None), default=0.0)

    def _check_any_succeeded(self) -> None:
        """Stop where all runs have failed."""
        calls = self.current_call + 1
        runs = [run for call in range(calls) for run in self._runs_of(call)]
        if calls >= min(_HOPELESS, self.number_of_call) and not any(run.scores for run in runs):
            raise SearchError(
                f"all {len(runs)} runs of the first {calls} calls failed, the first with: "
                f"{runs[0].error}. Nothing can be searched; what was tried is in {self._file}, "
                "and resume_optimization tries it again once the cause is fixed."
            )

    def _stops_early(self, found: Any) -> bool:
        calls = len(found.func_vals)
        return bool(
            self.early_stop
            and any(self.median(call) is not None for call in range(calls))
            and calls > self.lenx0
            and early_condition(found.func_vals, self.early_step, self.n_random_starts)
        )

    def _save(self, found: Any) -> SearchResult:
        """Write everything that is known of the search to its two files, each whole."""
        calls = len(found.func_vals)
        self.dict_model_runs = self._scores_by_call(calls)
        self.time_eval = [sum(run.seconds for run in self._runs_of(call)) for call in range(calls)]
        self.current_call = max(calls - 1, 0)
        result = SearchResult(self, found)
        self._record.runs = result.outcomes
        self._record.best = {"hyperparameters": result.best, "score": result.best_score}
        # First what a search continues from: the other file follows from it.
        self._record.write(self._file)
        result.save(str(self._file))
        return result

    def _scores_by_call(self, calls: int) -> dict[str, dict[str, list[float]]]:
        """Return scores as OCTIS's files have them, NaN for runs that failed."""
        names = [self.name_optimized_metric, *self.extra_metric_names]
        return {
            name: {
                f"iteration_{call}": [
                    run.scores[number] if run.scores and number < len(run.scores) else math.nan
                    for run in self._runs_of(call)
                ]
                for call in range(calls)
            }
            for number, name in enumerate(names)
        }

    def _plot(self, found: Any) -> None:
        path = f"{self.save_path}{self.plot_name}"
        if self.plot_best_seen:
            best_seen = (list(found.func_vals), f"{path}_best_seen", self.log_scale_plot)
            plot_bayesian_optimization(*best_seen, conv_max=self.optimization_type == "Maximize")
        if self.plot_model:
            for name, by_call in self._scores_by_call(len(found.func_vals)).items():
                known = {
                    call: [score for score in runs if math.isfinite(score)]
                    for call, runs in by_call.items()
                }
                plot_model_runs(known, len(found.func_vals) - 1, f"{path}_model_runs_{name}")


def _check_is_new(settings: SearchSettings) -> None:
    """Raise if the files of a new search are there already."""
    for file in (settings.file, runs_file(settings.file)):
        if file.exists():
            raise StorageError(
                f"{file} holds a search already: resume_optimization continues it; or choose "
                "another save_path or save_name."
            )
    outputs = Path(settings.save_path) / "models"
    if settings.save_models and outputs.is_dir() and any(outputs.iterdir()):
        raise StorageError(
            f"{outputs} holds the outputs of another search; choose another save_path."
        )


def _is_same_point(before: list[Any], now: list[Any]) -> bool:
    return all(
        math.isclose(a, b, rel_tol=1e-9)
        if isinstance(a, float) and isinstance(b, float)
        else a == b
        for a, b in zip(before, now, strict=True)
    )
