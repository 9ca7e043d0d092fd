"""OCTIS's Optimizer with resume for anybody's models, parallel runs and recorded seeds."""

import copy
import inspect
import math
import secrets
import shutil
import sys
import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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
from octis_m3l.files import held, write_json
from octis_m3l.metrics.scores import check_built
from octis_m3l.models.base import TopicModel
from octis_m3l.search.executors import Executor
from octis_m3l.search.placing import place
from octis_m3l.search.record import (
    check_test_use,
    described_dataset,
    described_metric,
    described_model,
    described_space,
    rebuilt_space,
    warn_of_test_words,
)
from octis_m3l.search.result import SearchResult, as_json, plain, without_nan
from octis_m3l.search.resuming import (
    FORMAT,
    VERSION,
    Given,
    completed,
    read_search,
    runs_file,
)
from octis_m3l.search.runs import Job, Outcome, Task
from octis_m3l.search.settings import by_name, check_settings
from octis_m3l.search.spaces import search_space as dimensions_of
from octis_m3l.training import derive_seed

_ALWAYS = 10**9
_HOPELESS = 3
_KEPT = (
    "number_of_call",
    "n_random_starts",
    "initial_point_generator",
    "optimization_type",
    "model_runs",
    "surrogate_model",
    "acq_func",
    "random_state",
    "x0",
    "y0",
    "save_models",
    "save_step",
    "save_name",
    "save_path",
    "early_stop",
    "early_step",
    "plot_best_seen",
    "plot_model",
    "plot_name",
    "log_scale_plot",
    "topk",
    "batch",
)


class SearchError(OctisM3LError):
    """A search finds nothing but failures."""


class Optimizer(OctisOptimizer):  # type: ignore[misc]
    """Bayesian search of hyperparameters: OCTIS's Optimizer, and what it lacks.

    Beside OCTIS's: a search that was killed goes on as if it never had been, with anybody's models
    and metrics; every run has a seed of its own, derived from one and recorded, so that searches
    in one process, in several and resumed ones agree; a run that fails is recorded and survived;
    to search by a metric that sees the test partition is refused; files are written whole, nothing
    in them is evaluated; memory does not grow with the calls.

    The file ``save_name.json`` is as OCTIS writes it; runs, seeds, errors and all else that
    `resume_optimization` needs are in ``save_name.runs.json`` beside it.
    """

    outcomes: dict[tuple[int, int], Outcome]
    surrogate_model: str
    save_path: str
    save_name: str
    plot_name: str
    x0: Any
    y0: Any
    _described: dict[str, Any]

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
        """Search, from the beginning.

        Parameters
        ----------
        model : OCTIS model
            Ours, OCTIS's or anybody's; it is not trained itself, each run trains a copy.
        dataset : OCTIS dataset
            The data.
        metric : OCTIS metric
            What is searched by: a call's value is the median over its runs.
        search_space : mapping of hyperparameter to range, optional
            As `search_space` has them, scikit-optimize's dimensions among them. Default: what the
            model declares, but for what it was told.
        extra_metrics : sequence of OCTIS metrics, optional
            Scored and recorded too; any number of them. Those that see the test partition are
            warned of.
        *positional, **settings
            As of OCTIS's ``optimize``, with its defaults: ``number_of_call``, ``n_random_starts``,
            ``initial_point_generator``, ``optimization_type``, ``model_runs``,
            ``surrogate_model`` ('RF', 'ET', 'GP', or 'RS', random search), ``kernel``,
            ``acq_func``, ``random_state`` (None: one is drawn and recorded), ``x0``, ``y0``,
            ``save_models``, ``save_path``, ``save_name``, ``early_stop``, ``topk``, …
            (``save_step`` changes nothing: every run is recorded as it ends.)
        batch : int
            Points that are proposed together. A search is told what comes of them together too, so
            that its course depends on this number, but not on where runs are done.
        processes : int
            In which runs are done at once: the runs of a call, and the calls of a batch. At least
            one for each device that is given.
        device : str or sequence of str, optional
            For this package's models, where they have this hyperparameter; several are given out in
            turn, and with several processes 'cuda' and 'auto' are all cards. Other models train
            on the card that torch takes by itself, which is set to it.
        threads : int, optional
            Of each run on the processor. Default: as this package's models say, which is one for
            all but large batches; one for other models.
        executor : function from a Job to an Executor, optional
            In place of `processes`.
        progress : bool
            Whether to show a progress bar.
        test_allowed : bool
            Whether `metric` may see the test partition; else it is not shown θ of it.

        Returns
        -------
        SearchResult

        Raises
        ------
        SettingsError
            Before any run, if something can't be searched, or `metric` sees the test partition.
        DataError
            Before any run, if our model refuses the data set.
        StorageError
            If there is a search of that name at ``save_path`` already, or another process is at
            work on it.
        KeyboardInterrupt
            After Ctrl-C; `resume_optimization` goes on.
        """
        if not isinstance(extra_metrics, Sequence | None) or isinstance(extra_metrics, str):
            raise SettingsError(f"extra_metrics={extra_metrics!r}: expected a list of metrics.")
        for one in (metric, *(extra_metrics or ())):
            check_built(one)
        if isinstance(model, type):
            raise SettingsError(
                f"the model is the class {model.__name__}; build it: {model.__name__}(…)."
            )
        self._test_allowed = test_allowed
        settings = by_name(positional, settings)
        self.batch, self._described, self._shows = batch, {}, progress
        self._place = place(processes, device, threads, executor)
        self._resumed: dict[str, Any] | None = None
        if isinstance(model, TopicModel):
            model.check(dataset, settings.get("topk", 10))
        # A Gaussian process has its dimensions normalised in place: the user's stay as they are.
        space = copy.deepcopy(dimensions_of(model, None, search_space))
        self._space = described_space(space)
        if settings.get("random_state", False) is None:
            settings["random_state"] = secrets.randbelow(2**31)
        if not isinstance(settings.get("number_of_call", 5), int | np.integer):
            raise SettingsError(
                f"number_of_call={settings['number_of_call']!r}: expected a number."
            )
        with ExitStack() as self._held:
            result: SearchResult = super().optimize(
                model, dataset, metric, space, extra_metrics, **settings
            )
        return result

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
        """Go on with a search; the result is that of one that was never interrupted.

        Parameters
        ----------
        name_path : str or Path
            The search's JSON file, with its file of runs beside it.
        extra_evaluations : int
            Further calls beyond those that the file says; resumed again, it says these too.
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

        Returns
        -------
        SearchResult

        Raises
        ------
        StorageError
            If the file is missing, damaged or of another kind, or names what isn't there; or if
            the model or a metric given is not the one that the search began with; or if another
            process is at work on it; or if the file names a class that is not known, or a model
            that unpickles.
        DataError
            If the data set is another, or has other embeddings, labels, word vectors or
            dictionaries.
        """
        if extra_evaluations < 0:
            raise SettingsError(f"extra_evaluations={extra_evaluations}: expected 0 or more.")
        self._place = place(processes, device, threads, executor)
        self._shows, self._described = progress, {}
        file = Path(name_path).resolve()
        if file.is_dir():
            file /= "result.json"
        # What is no search gets no lock beside it.
        read_search(file)
        with held(file):
            stored = read_search(file)
            given = Given(model, dataset, metric, extra_metrics, kernel, classes, trusted)
            try:
                whole = completed(given, stored)
                settings = {
                    **stored["settings"],
                    "save_path": f"{file.parent}/",
                    "save_name": file.stem,
                }
                settings["number_of_call"] += extra_evaluations
                space = rebuilt_space(stored["search_space"])
                if all(Outcome.from_dict(entry).scores is None for entry in stored["runs"]):
                    # Nothing followed from runs that all failed: they are tried again.
                    stored = {**stored, "runs": [], "points": []}
            except OctisM3LError:
                raise
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise StorageError(
                    f"{runs_file(file)} is damaged ({error}); copy it again, or begin the search "
                    "anew."
                ) from error
            self._resumed, self._space = stored, stored["search_space"]
            self._test_allowed, self.batch = stored["test_allowed"], settings.pop("batch")
            result: SearchResult = super().optimize(
                whole.model,
                whole.dataset,
                whole.metric,
                space,
                whole.extra_metrics,
                **({"kernel": kernel} if kernel is not None else {}),
                **settings,
            )
        return result

    # What OCTIS's `optimize` calls.

    def _check_bo_parameters(self) -> int:
        """Raise what is wrong, where OCTIS prints it."""
        if not self._test_allowed:
            check_test_use(self.metric, extra=False)
        if not self._test_allowed and self._resumed is None:
            for metric in self.extra_metrics:
                check_test_use(metric, extra=True)
            for metric in (self.metric, *self.extra_metrics):
                warn_of_test_words(metric, self.dataset)
        self.save_path = str(self.save_path)
        check_settings(self)
        self._file = Path(self.save_path) / f"{self.save_name}.json"
        if self._resumed is None:
            self._held.enter_context(held(self._file))
        for file in (self._file, runs_file(self._file)):
            if self._resumed is None and file.exists():
                raise StorageError(
                    f"{file} holds a search already: resume_optimization goes on with it; or "
                    "choose another save_path or save_name."
                )
        return 0

    def _optimization_loop(self, opt: Any) -> SearchResult:
        """Propose, run, tell; calls that are recorded already are told as they were."""
        opt = self._proposer(opt)
        self._base_seed = self._seed_of_search()
        self.outcomes = self._recorded()
        stored = [] if self._resumed is None else self._resumed["points"]
        self._points: dict[int, list[Any]] = dict(enumerate(stored))
        self._checkpoints = f"{self.save_name}.checkpoints"
        self._described = self._description()
        outputs = Path(self.model_path_models) if self.save_models else None
        if outputs is not None and self._resumed is None and any(outputs.iterdir()):
            raise StorageError(
                f"{outputs} holds the outputs of another search; choose another save_path."
            )
        # Once for all runs.
        ours = isinstance(self.model, TopicModel)
        job = Job(
            self.model,
            self.model.adopted(self.dataset) if ours else self.dataset,
            [self.metric, *self.extra_metrics],
            self.topk,
            outputs,
            Path(self.save_path) / self._checkpoints,
            self._test_allowed,
            self._place.threads,
        )
        found: Any = SimpleNamespace(func_vals=[], x_iters=[], fun=None, models=[])
        if self._resumed is None:
            shutil.rmtree(Path(self.save_path) / self._checkpoints, ignore_errors=True)
            self._save(found)
        points: list[list[Any]] = []
        bar = tqdm(total=self.number_of_call, unit="call", disable=not self._shows)
        with self._place.executor_for(job) as executor, self._told(), bar:
            while len(points) < self.number_of_call:
                proposed = self._next(opt, len(points))
                self._run(executor, found, proposed, len(points))
                calls = range(len(points), len(points) + len(proposed))
                points += proposed
                self.current_call = len(points) - 1
                self._check_any_worked(len(points))
                values = [self._value(call) for call in calls]
                # What a failed call is told as follows from all that is known by now.
                opt.yi[:] = [self._value(call) for call in range(calls.start)]
                single = len(proposed) == 1 and self.batch == 1
                told = (proposed[0], values[0]) if single else (proposed, values)
                found = opt.tell(*told)
                bar.update(len(proposed))
                if self._worst() is not None:
                    best = -found.fun if self.optimization_type == "Maximize" else found.fun
                    bar.set_postfix(best=f"{best:.4g}")
                self._plots(found)
                if self.current_call % self.save_step < len(proposed):
                    self._save(found)
                if self._stops(found):
                    break
        result = self._save(found)
        if (
            job.checkpoints is not None
            and job.checkpoints.is_dir()
            and not any(job.checkpoints.iterdir())
        ):
            job.checkpoints.rmdir()
        return result

    def _proposer(self, opt: Any) -> Any:
        """Return scikit-optimize's optimizer as OCTIS sets it up, with one surrogate kept."""
        if self._random_search:
            self.surrogate_model = "RS"
            always = {"n_random_starts": _ALWAYS, "initial_point_generator": "random"}
            opt = choose_optimizer(
                SimpleNamespace(**{**vars(self), **always, "surrogate_model": "RF"})
            )
        opt.max_model_queue_size = 1
        return opt

    def _seed_of_search(self) -> int:
        if self._resumed is not None:
            return int(self._resumed["seed"])
        if isinstance(self.model, TopicModel):
            return int(self.model.hyperparameters["seed"])
        return int(self.random_state or 0)

    def _recorded(self) -> dict[tuple[int, int], Outcome]:
        stored = self._resumed["runs"] if self._resumed is not None else []
        outcomes = [Outcome.from_dict(entry) for entry in stored]
        return {(outcome.call, outcome.run): outcome for outcome in outcomes}

    def _next(self, opt: Any, first: int) -> list[list[Any]]:
        """Return the next points: those given in x0, then what is proposed."""
        count = min(self.batch, self.number_of_call - first)
        if first < self.lenx0:
            calls = range(first, min(first + count, self.lenx0))
            return [[self.x0[name][call] for name in self.hyperparameters] for call in calls]
        asked = [opt.ask()] if self.batch == 1 else opt.ask(n_points=self.batch)[:count]
        return [[plain(value) for value in point] for point in asked]

    def _run(self, executor: Executor, found: Any, proposed: list[list[Any]], first: int) -> None:
        """Do the runs that are not recorded yet, and record each as it ends."""
        tasks = []
        for call, point in enumerate(proposed, first):
            self._check_point(call, point)
            if call < len(self.y0):
                seed = derive_seed(self._base_seed, call, 0)
                self.outcomes[call, 0] = Outcome(call, 0, seed, [float(self.y0[call])])
                continue
            hyperparameters = dict(zip(self.hyperparameters, point, strict=True))
            for run in range(self.model_runs):
                if (call, run) not in self.outcomes:
                    seed = derive_seed(self._base_seed, call, run)
                    tasks.append(Task(call, run, hyperparameters, seed, self._place.device))
        for outcome in executor.outcomes(tasks):
            if outcome.error and not any(run.error for run in self.outcomes.values()):
                warnings.warn(
                    f"call {outcome.call}, run {outcome.run}: {outcome.error}; the search goes on, "
                    "and records this and further failures.",
                    stacklevel=2,
                )
            self.outcomes[outcome.call, outcome.run] = outcome
            self._save(found)

    def _check_point(self, call: int, point: list[Any]) -> None:
        """Refuse to tell scores of a point that is not the one that they were scored at."""
        before = self._points.setdefault(call, point)
        same = all(
            math.isclose(a, b, rel_tol=1e-9)
            if isinstance(a, float) and isinstance(b, float)
            else a == b
            for a, b in zip(before, point, strict=True)
        )
        if not same:
            raise StorageError(
                f"call {call} of this search was at {before}, and would now be at {point}: "
                "scikit-learn or scikit-optimize is another version than when it was begun, or the "
                "file was changed. Begin a new search, with what is known as x0 and y0."
            )

    def runs_of(self, call: int) -> list[Outcome]:
        """Return what came of a call's runs.

        Parameters
        ----------
        call : int
            From 0.
        """
        keys = ((call, run) for run in range(self.model_runs))
        return [self.outcomes[key] for key in keys if key in self.outcomes]

    def median(self, call: int) -> float | None:
        """Return a call's median score over the runs that did not fail; None if all did.

        Parameters
        ----------
        call : int
            From 0.
        """
        scores = [outcome.scores[0] for outcome in self.runs_of(call) if outcome.scores]
        return float(np.median(scores)) if scores else None

    def _value(self, call: int) -> float:
        """Return what is minimised; a call that failed is as bad as the worst that is known."""
        median = self.median(call)
        if median is None:
            return self._worst() or 0.0
        return -median if self.optimization_type == "Maximize" else median

    def _worst(self) -> float | None:
        """Return the highest value among the calls so far, None if all of them failed."""
        sign = -1.0 if self.optimization_type == "Maximize" else 1.0
        medians = [self.median(call) for call in range(self.current_call + 1)]
        return max((sign * median for median in medians if median is not None), default=None)

    def _check_any_worked(self, calls: int) -> None:
        """Stop where nothing but failures has been seen."""
        failed = [run for call in range(calls) for run in self.runs_of(call)]
        if calls >= min(_HOPELESS, self.number_of_call) and not any(run.scores for run in failed):
            raise SearchError(
                f"all {len(failed)} runs of the first {calls} calls failed, the first with: "
                f"{failed[0].error}. Nothing can be searched; what was tried is in {self._file}, "
                "and resume_optimization tries it again once the cause is mended."
            )

    def _stops(self, found: Any) -> bool:
        told = len(found.func_vals)
        return bool(
            self.early_stop
            and self._worst() is not None
            and told > self.lenx0
            and early_condition(found.func_vals, self.early_step, self.n_random_starts)
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say after Ctrl-C how to go on."""
        started = time.monotonic()
        try:
            yield
        except KeyboardInterrupt:
            print(
                f"stopped after {time.monotonic() - started:.0f} s; "
                f"Optimizer().resume_optimization({str(self._file)!r}) goes on "
                "(octis-m3l tune: the same command).",
                file=sys.stderr,
            )
            raise

    def _description(self) -> dict[str, Any]:
        metrics = [self.metric, *self.extra_metrics]
        default = _octis_kernel()
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": described_model(self.model),
            "dataset": described_dataset(self.dataset),
            "metrics": [described_metric(metric, self.dataset) for metric in metrics],
            "search_space": self._space,
            "settings": {name: as_json(getattr(self, name)) for name in _KEPT},
            "kernel": "" if repr(self.kernel.get_params()) == default else str(self.kernel),
            "seed": self._base_seed,
            "test_allowed": self._test_allowed,
        }

    def _save(self, found: Any) -> SearchResult:
        """Write everything that is known of the search to its two files, each whole."""
        self.dict_model_runs = self._scores_by_call(len(found.func_vals))
        done = range(len(found.func_vals))
        self.time_eval = [sum(run.seconds for run in self.runs_of(call)) for call in done]
        self.current_call = max(len(found.func_vals) - 1, 0)
        result = SearchResult(self, found)
        runs = [outcome.as_dict() for outcome in result.outcomes]
        points = [self._points[call] for call in sorted(self._points)]
        best = {"hyperparameters": result.best, "score": result.best_score}
        # First what a search goes on from: the other file follows from it.
        write_json(
            runs_file(self._file),
            without_nan({**self._described, "points": points, "runs": runs, "best": best}),
            checked=True,
        )
        result.save(str(self._file))
        return result

    def _scores_by_call(self, calls: int) -> dict[str, dict[str, list[float]]]:
        """Return scores as OCTIS's files have them, NaN for runs that failed."""
        names = [self.name_optimized_metric, *self.extra_metric_names]
        return {
            name: {
                f"iteration_{call}": [
                    run.scores[number] if run.scores and number < len(run.scores) else math.nan
                    for run in self.runs_of(call)
                ]
                for call in range(calls)
            }
            for number, name in enumerate(names)
        }

    def _plots(self, found: Any) -> None:
        if self.plot_best_seen:
            plot_bayesian_optimization(
                list(found.func_vals),
                self.save_path + self.plot_name + "_best_seen",
                self.log_scale_plot,
                conv_max=self.optimization_type == "Maximize",
            )
        if self.plot_model:
            scores = self._scores_by_call(len(found.func_vals))
            for name, by_call in scores.items():
                path = f"{self.save_path}{self.plot_name}_model_runs_{name}"
                known = {
                    call: [score for score in runs if math.isfinite(score)]
                    for call, runs in by_call.items()
                }
                plot_model_runs(known, len(found.func_vals) - 1, path)


def _octis_kernel() -> str:
    """Return OCTIS's own kernel, as text."""
    return repr(
        inspect.signature(OctisOptimizer.optimize).parameters["kernel"].default.get_params()
    )
