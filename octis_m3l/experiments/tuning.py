"""Search a model's hyperparameters on a data set, from the command line."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from octis_m3l.data import MultiviewDataset
from octis_m3l.devices import check_used, each_device
from octis_m3l.errors import DataError, SettingsError, StorageError, suggest
from octis_m3l.files import read_yaml
from octis_m3l.metrics import METRICS, OverViews
from octis_m3l.models import MODELS
from octis_m3l.search import OnRay, Optimizer, SearchResult, search_space
from octis_m3l.search.record import class_path, described_space
from octis_m3l.search.resuming import read_search, runs_file

NAME = "search"
_OPTIONS = {
    "model_runs": "--runs",
    "n_random_starts": "--random-starts",
    "surrogate_model": "--surrogate",
    "acq_func": "--acquisition",
    "topk": "--top-words",
    "measure": "--metric",
    "random_state": "--seed",
    "hyperparameters": "--set",
    "search_space": "--search or --space",
}


def read_space(path: Path) -> dict[str, Any]:
    """Return the ranges in a YAML file."""
    content = read_yaml(path)
    if not isinstance(content, dict) or not content:
        raise SettingsError(
            f"{path}: expected hyperparameters with their ranges, as in "
            "'temperature: {low: 0.01, high: 1, prior: log-uniform}'."
        )
    return {str(name): given for name, given in content.items()}


def workplace(
    processes: int, ray: str | None, gpus: float, device: str, threads: int | None
) -> dict[str, Any]:
    """Return where runs are done, as `Optimizer.optimize` and `compare` take it."""
    if gpus and ray is None:
        raise SettingsError(
            f"gpus={gpus:g}: only Ray gives out GPUs (--ray); here name them: --device cuda, or "
            "cuda:0,cuda:1."
        )
    devices = [name.strip() for name in device.split(",")]
    where: dict[str, Any] = {"processes": processes, "threads": threads}
    spread = each_device(devices, processes if ray is None else 1)
    where["device"] = None if spread == ["auto"] else spread
    if ray is not None:
        address = None if ray == "local" else ray
        options: dict[str, Any] = {"address": address, "workers": processes, "gpus": gpus}
        where["executor"] = partial(OnRay, threads=threads, **options)
    return where


def tune(
    dataset: MultiviewDataset,
    model: str,
    out: Path,
    *,
    settings: Mapping[str, Any],
    measure: str,
    names: Sequence[str] = (),
    space: Path | None = None,
    calls: int = 30,
    runs: int = 3,
    top_words: int = 10,
    where: Mapping[str, Any],
    progress: bool = True,
    search: Mapping[str, Any],
) -> SearchResult:
    """Search on the validation partition; a search that is there already goes on."""
    if model not in MODELS:
        raise SettingsError(f"unknown model '{model}'.{suggest(model, MODELS)}")
    if measure not in METRICS:
        raise SettingsError(f"unknown metric '{measure}'.{suggest(measure, METRICS)}")
    if not any(view.sizes[1] for view in dataset.views.values()):
        raise DataError(
            "the data set has no validation items to search by; split it anew "
            "(dataset.with_split), or build it with a partition that has some."
        )
    check_used(MODELS[model], where.get("device"))
    fresh = MODELS[model](**settings)
    changes = None if space is None else read_space(space)
    both = [name for name in (*names, *(changes or {})) if name in settings]
    if both:
        raise SettingsError(
            f"{both[0]} is to be searched, and to stay {settings[both[0]]!r}; leave one of the two "
            "out."
        )
    ranges = search_space(fresh, [*names, *(changes or {})] or None, changes)
    metric = OverViews(dataset, measure, "validation", top_words)
    metric.check()
    file = out / f"{NAME}.json"
    if runs_file(file).is_file() or file.is_file():
        further = _further(file, dataset, fresh, ranges, metric, calls, runs, search)
        return Optimizer().resume_optimization(
            file, further, model=fresh, dataset=dataset, metric=metric, progress=progress, **where
        )
    if out.is_file() or (out.is_dir() and any(map(_is_of_something_else, out.iterdir()))):
        raise StorageError(f"{out} exists already and holds no search; choose another folder.")
    return Optimizer().optimize(
        fresh,
        dataset,
        metric,
        ranges,
        number_of_call=calls,
        model_runs=runs,
        optimization_type="Maximize" if metric.direction == "higher" else "Minimize",
        save_models=False,
        save_path=f"{out}/",
        save_name=NAME,
        topk=top_words,
        progress=progress,
        **where,
        **search,
    )


def _is_of_something_else(path: Path) -> bool:
    return path.name != f"{NAME}.checkpoints" and not path.name.startswith(".")


def _further(
    file: Path,
    dataset: MultiviewDataset,
    model: Any,
    ranges: Mapping[str, Any],
    metric: OverViews,
    calls: int,
    runs: int,
    search: Mapping[str, Any],
) -> int:
    """Return how many calls come beyond those that the search was begun with."""
    stored = read_search(file)
    before = stored["settings"]
    asked = {
        "search_space": described_space(ranges),
        "model_runs": runs,
        "measure": metric.measure,
        "topk": metric.topk,
        **search,
        "hyperparameters": model.given_hyperparameters(),
        "model": class_path(model),
    }
    kept = {
        **before,
        "search_space": stored["search_space"],
        "measure": stored["metrics"][0]["arguments"].get("measure"),
        "hyperparameters": stored["model"]["hyperparameters"],
        "model": stored["model"]["class"],
    }
    differing = [
        f"{_OPTIONS.get(name, name)} ({kept.get(name)!r} there, {value!r} here)"
        for name, value in asked.items()
        if kept.get(name) != value
    ]
    if differing:
        raise StorageError(
            f"{file} holds a search with another {', '.join(differing)}: repeat its command to go "
            "on, or choose another folder."
        )
    begun = int(before["number_of_call"])
    if calls < begun:
        raise SettingsError(
            f"calls={calls}: this search was begun with {begun}; give that many, or more to go on "
            "further."
        )
    return calls - begun
