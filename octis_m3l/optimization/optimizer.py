"""OCTIS's Optimizer with resume for anybody's models, parallel runs and recorded seeds."""

import copy
import inspect
import math
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from octis.optimization.optimizer import Optimizer as OctisOptimizer
from octis.optimization.optimizer_evaluation import OptimizerEvaluation
from octis.optimization.optimizer_tool import (
    choose_optimizer,
    early_condition,
    plot_bayesian_optimization,
    plot_model_runs,
)
from tqdm import tqdm

from octis_m3l.errors import SettingsError, StorageError, suggest
from octis_m3l.files import read_json, write_json
from octis_m3l.models.base import TopicModel
from octis_m3l.optimization.executors import Executor, Processes, Sequential
from octis_m3l.optimization.record import (
    check_same_dataset,
    check_validation_only,
    described_dataset,
    described_metric,
    described_model,
    described_space,
    rebuilt_dataset,
    rebuilt_metric,
    rebuilt_model,
    rebuilt_space,
)
from octis_m3l.optimization.runs import Job, Outcome, Task
from octis_m3l.optimization.spaces import search_space as dimensions_of
from octis_m3l.training import derive_seed

FORMAT, VERSION = "octis-m3l search", 1
SURROGATES = ("RF", "ET", "GP", "RS")
ACQUISITIONS = ("LCB", "EI", "PI")
GENERATORS = ("lhs", "sobol", "halton", "hammersly", "grid", "random")
_ALWAYS = 10**9
_COUNTS = (
    "number_of_call",
    "model_runs",
    "n_random_starts",
    "save_step",
    "batch",
    "early_step",
    "topk",
)
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


class SearchResult(OptimizerEvaluation):  # type: ignore[misc]
    """OCTIS's result of a search, with the best point and every run's outcome.

    Attributes
    ----------
    best : dict
        The hyperparameters whose median score is best; empty if every call failed.
    best_score : float, optional
        That score.
    outcomes : list of Outcome
        Of all runs, failed ones too, with their seeds.
    surrogate : scikit-optimize result, or None
        With the last model of the response surface.
    medians : list of float or None
        Of each call's scores; None where all of its runs failed.
    search_space : dict of str to Dimension
        What was searched.
    """

    x_iters: dict[str, list[Any]]
    func_vals: list[float]

    def __init__(self, optimizer: "Optimizer", found: Any) -> None:
        super().__init__(optimizer, BO_results=found)
        self.outcomes = [optimizer.outcomes[key] for key in sorted(optimizer.outcomes)]
        self.x_iters = {name: [_plain(x) for x in of] for name, of in self.x_iters.items()}
        self.func_vals = [float(value) for value in self.func_vals]
        self.info |= {"x_iters": self.x_iters, "f_val": self.func_vals}
        self.surrogate = found if getattr(found, "models", None) else None
        self.medians = [optimizer.median(call) for call in range(len(self.func_vals))]
        self.search_space = dict(optimizer.search_space)
        known = [(value, call) for call, value in enumerate(self.medians) if value is not None]
        sign = 1 if optimizer.optimization_type == "Maximize" else -1
        self.best: dict[str, Any] = {}
        self.best_score: float | None = None
        if known:
            self.best_score, call = max(known, key=lambda entry: sign * entry[0])
            self.best = {name: points[call] for name, points in self.x_iters.items()}

    def save(self, name_file: str) -> None:
        """Write the search to a JSON file, whole.

        Parameters
        ----------
        name_file : str
            The file.
        """
        self.name_json = name_file
        write_json(Path(name_file), _without_nan(self.info))


class Optimizer(OctisOptimizer):  # type: ignore[misc]
    """Bayesian search of hyperparameters: OCTIS's Optimizer, and what it lacks.

    Beside OCTIS's: a search that was killed goes on as if it never had been, with anybody's models
    and metrics; every run has a seed of its own, derived from one and recorded, so that searches
    in one process, in several and resumed ones agree; a run that fails is recorded and survived;
    metrics that see the test partition are refused; files are written whole, nothing in them is
    evaluated; memory does not grow with the calls.
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
        threads: int = 1,
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
            model declares.
        extra_metrics : sequence of OCTIS metrics, optional
            Scored and recorded too; any number of them.
        *positional, **settings
            As of OCTIS's ``optimize``, with its defaults: ``number_of_call``, ``n_random_starts``,
            ``initial_point_generator``, ``optimization_type``, ``model_runs``,
            ``surrogate_model`` ('RF', 'ET', 'GP', or 'RS', random search), ``kernel``,
            ``acq_func``, ``random_state`` (None: one is drawn and recorded), ``x0``, ``y0``,
            ``save_models``, ``save_path``, ``save_name``, ``early_stop``, ``topk``, …
        batch : int
            Points that are proposed together. A search is told what comes of them together too, so
            that its course depends on this number, but not on where runs are done.
        processes : int
            In which runs are done at once: the runs of a call, and the calls of a batch.
        device : str or sequence of str, optional
            For models that have this hyperparameter; several are given out in turn.
        threads : int
            Of each process, where there are several.
        executor : function from a Job to an Executor, optional
            In place of `processes`.
        progress : bool
            Whether to show a progress bar.
        test_allowed : bool
            Whether metrics may see the test partition.

        Returns
        -------
        SearchResult

        Raises
        ------
        SettingsError
            Before any run, if something can't be searched, or a metric sees the test partition.
        StorageError
            If there is a search of that name at ``save_path`` already.
        KeyboardInterrupt
            After Ctrl-C; `resume_optimization` goes on.
        """
        self._test_allowed = test_allowed
        settings = _by_name(positional, settings)
        self.batch, self._described, self._shows = batch, {}, progress
        self._workplace(processes, device, threads, executor)
        self._resumed: dict[str, Any] | None = None
        # A Gaussian process has its dimensions normalised in place: the user's stay as they are.
        space = copy.deepcopy(dimensions_of(model, None, search_space))
        if settings.get("random_state", False) is None:
            settings["random_state"] = secrets.randbelow(2**31)
        if not isinstance(settings.get("number_of_call", 5), int | np.integer):
            raise SettingsError(
                f"number_of_call={settings['number_of_call']!r}: expected a number."
            )
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
        processes: int = 1,
        device: str | Sequence[str] | None = None,
        threads: int = 1,
        executor: Any = None,
        progress: bool = False,
    ) -> SearchResult:
        """Go on with a search; the result is that of one that was never interrupted.

        Parameters
        ----------
        name_path : str or Path
            The search's JSON file.
        extra_evaluations : int
            Further calls beyond those that it was begun with.
        model, dataset, metric, extra_metrics, kernel : optional
            What a file can't hold: models with parts of their own, data sets that were never
            saved, metrics with another corpus, a kernel for 'GP' other than OCTIS's.
        processes, device, threads, executor, progress
            As for `optimize`.

        Returns
        -------
        SearchResult

        Raises
        ------
        StorageError
            If the file is missing, damaged or of another kind, or names what isn't there.
        DataError
            If the data set is another.
        """
        stored = read_json(Path(name_path))
        own = stored.get("octis_m3l")
        if not isinstance(own, dict) or own.get("format") != FORMAT:
            raise StorageError(
                f"{name_path} is no search of octis-m3l; searches of OCTIS's own Optimizer are "
                "resumed by that."
            )
        if own.get("version") != VERSION:
            raise StorageError(f"{name_path} was written by another octis-m3l; upgrade this one.")
        data = rebuilt_dataset(own["dataset"]) if dataset is None else dataset
        check_same_dataset(data, own["dataset"])
        if own["kernel"] and kernel is None:
            raise StorageError(
                f"the search had the kernel {own['kernel']}; give it again: kernel=…"
            )
        place = Path(name_path).resolve()
        settings = {**own["settings"], "save_path": f"{place.parent}/", "save_name": place.stem}
        if extra_evaluations < 0:
            raise SettingsError(f"extra_evaluations={extra_evaluations}: expected 0 or more.")
        settings["number_of_call"] += extra_evaluations
        self._resumed = own
        self.batch = settings.pop("batch")
        self._described, self._shows = {}, progress
        self._test_allowed = own["test_allowed"]
        self._workplace(processes, device, threads, executor)
        result: SearchResult = super().optimize(
            rebuilt_model(own["model"]) if model is None else model,
            data,
            rebuilt_metric(own["metrics"][0], data) if metric is None else metric,
            rebuilt_space(own["search_space"]),
            [rebuilt_metric(of, data) for of in own["metrics"][1:]]
            if extra_metrics is None
            else extra_metrics,
            **({"kernel": kernel} if kernel is not None else {}),
            **settings,
        )
        return result

    def _workplace(
        self, processes: int, device: str | Sequence[str] | None, threads: int, executor: Any
    ) -> None:
        devices = [device] if isinstance(device, str) else list(device or ())

        def chosen(job: Job) -> Executor:
            if executor is not None:
                of_user: Executor = executor(job)
                return of_user
            if processes == 1 and len(devices) < 2:
                return Sequential(job, threads=threads)
            return Processes(job, processes, devices=devices, threads=threads)

        if processes < 1:
            raise SettingsError(f"processes={processes}: expected 1 or more.")
        self._executor, self._devices = chosen, devices

    # What OCTIS's `optimize` calls.

    def _check_bo_parameters(self) -> int:
        """Raise what is wrong, where OCTIS prints it."""
        for metric in (self.metric, *self.extra_metrics):
            if not self._test_allowed:
                check_validation_only(metric)
        self.save_path = str(self.save_path)
        for name, known in (
            ("surrogate_model", SURROGATES),
            ("acq_func", ACQUISITIONS),
            ("optimization_type", ("Maximize", "Minimize")),
            ("initial_point_generator", GENERATORS),
        ):
            value = getattr(self, name)
            if value not in known:
                raise SettingsError(f"unknown {name} '{value}'.{suggest(str(value), known)}")
        # The estimator of OCTIS's random search is refused by today's scikit-learn: never leaving
        # the random starts is the same.
        self._random_search = self.surrogate_model == "RS"
        if self._random_search:
            self.surrogate_model = "RF"
        for name in _COUNTS:
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
                raise SettingsError(f"{name}={value!r}: expected a whole number, 1 or more.")
            setattr(self, name, int(value))
        if not isinstance(self.x0, Mapping):
            raise SettingsError("x0: expected a mapping of hyperparameter to a list of values.")
        given = {name: list(points) for name, points in self.x0.items()}
        self.y0 = [_plain(value) for value in self.y0]
        for value in self.y0:
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise SettingsError(f"y0 holds {value!r}; expected finite numbers.")
        for name, points in given.items():
            outside = [
                x for x in points if name in self.search_space and x not in self.search_space[name]
            ]
            if outside:
                raise SettingsError(f"x0: {name}={outside[0]!r} is outside what is searched.")
        if given and set(given) != set(self.hyperparameters):
            raise SettingsError(
                f"x0 has {', '.join(sorted(given))}; expected a list for each of "
                f"{', '.join(self.hyperparameters)}."
            )
        lengths = {len(points) for points in given.values()}
        if len(lengths) > 1 or (self.y0 and lengths != {len(self.y0)}):
            raise SettingsError("x0 and y0: expected lists of the same length.")
        self.x0 = given
        self.lenx0 = lengths.pop() if lengths else 0
        if self.lenx0 > self.number_of_call:
            raise SettingsError(
                f"x0 has {self.lenx0} points for number_of_call={self.number_of_call}."
            )
        self.save_path = f"{self.save_path.rstrip('/') or '.'}/"
        self.save_name = self.save_name.removesuffix(".json")
        self.plot_name = self.plot_name.removesuffix(".png")
        self._file = Path(self.save_path) / f"{self.save_name}.json"
        if self._resumed is None and self._file.exists():
            raise StorageError(
                f"{self._file} holds a search already: resume_optimization goes on with it; or "
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
        job = Job(
            self.model,
            self.dataset,
            [self.metric, *self.extra_metrics],
            self.topk,
            Path(self.model_path_models) if self.save_models else None,
            Path(self.save_path) / self._checkpoints,
        )
        found: Any = SimpleNamespace(func_vals=[], x_iters=[], fun=None, models=[])
        if self._resumed is None:
            shutil.rmtree(Path(self.save_path) / self._checkpoints, ignore_errors=True)
            self._save(found)
        points: list[list[Any]] = []
        bar = tqdm(total=self.number_of_call, unit="call", disable=not self._shows)
        with self._executor(job) as executor, self._told(), bar:
            while len(points) < self.number_of_call:
                proposed = self._next(opt, len(points))
                self._run(executor, found, proposed, len(points))
                calls = range(len(points), len(points) + len(proposed))
                points += proposed
                self.current_call = len(points) - 1
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
        self._save(found)
        if (
            job.checkpoints is not None
            and job.checkpoints.is_dir()
            and not any(job.checkpoints.iterdir())
        ):
            job.checkpoints.rmdir()
        return SearchResult(self, found)

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
        return [[_plain(value) for value in point] for point in asked]

    def _run(self, executor: Executor, found: Any, proposed: list[list[Any]], first: int) -> None:
        """Do the runs that are not recorded yet, and record each as it ends."""
        tasks = []
        device = self._devices[0] if len(self._devices) == 1 else None
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
                    tasks.append(Task(call, run, hyperparameters, seed, device))
        for outcome in executor.outcomes(tasks):
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
                f"Optimizer().resume_optimization({str(self._file)!r}) goes on.",
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
            "search_space": described_space(self.search_space),
            "settings": {name: _json(getattr(self, name)) for name in _KEPT},
            "kernel": "" if repr(self.kernel.get_params()) == default else str(self.kernel),
            "seed": self._base_seed,
            "test_allowed": self._test_allowed,
        }

    def _save(self, found: Any) -> None:
        """Write everything that is known of the search to its file, whole."""
        self.dict_model_runs = self._scores_by_call(len(found.func_vals))
        done = range(len(found.func_vals))
        self.time_eval = [sum(run.seconds for run in self.runs_of(call)) for call in done]
        self.current_call = max(len(found.func_vals) - 1, 0)
        result = SearchResult(self, found)
        runs = [outcome.as_dict() for outcome in result.outcomes]
        points = [self._points[call] for call in sorted(self._points)]
        result.info["octis_m3l"] = {**self._described, "points": points, "runs": runs}
        result.info["best"] = {"hyperparameters": result.best, "score": result.best_score}
        result.save(str(self._file))

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


def _by_name(positional: Sequence[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of OCTIS's ``optimize`` by name, those given by position too."""
    names = list(inspect.signature(OctisOptimizer.optimize).parameters)[6:]
    unknown = [name for name in settings if name not in names]
    if unknown or len(positional) > len(names):
        said = unknown[0] if unknown else f"{len(positional) + 5} positional arguments"
        raise SettingsError(f"optimize takes no '{said}'.{suggest(str(said), names)}")
    return {**dict(zip(names, positional, strict=False)), **settings}


def _octis_kernel() -> str:
    """Return OCTIS's own kernel, as text."""
    return repr(
        inspect.signature(OctisOptimizer.optimize).parameters["kernel"].default.get_params()
    )


def _without_nan(value: Any) -> Any:
    """Return what JSON holds: None for numbers that are none."""
    if isinstance(value, Mapping):
        return {name: _without_nan(of) for name, of in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(of) for of in value]
    plain = _plain(value)
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def _json(value: Any) -> Any:
    """Return what JSON holds of a setting."""
    if isinstance(value, Mapping):
        return {name: _json(of) for name, of in value.items()}
    if isinstance(value, list | tuple):
        return [_json(of) for of in value]
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return Python's own number or text for numpy's."""
    return value.item() if isinstance(value, np.generic) else value
