"""The search of a named model's hyperparameters in a folder, as ``octis-m3l tune`` does it."""

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
from octis_m3l.search.on_ray import OnRay
from octis_m3l.search.optimizer import Optimizer
from octis_m3l.search.result import SearchResult
from octis_m3l.search.spaces import described_space, search_space
from octis_m3l.search.storage import read_search, runs_file

NAME = "search"
_OPTIONS = {
    "model_runs": "--runs",
    "n_random_starts": "--random-starts",
    "surrogate_model": "--surrogate",
    "acq_func": "--acquisition",
    "topk": "--top-words",
    "random_state": "--seed",
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
    """Return where runs are executed, as arguments of `Optimizer.optimize` and `compare`."""
    if gpus and ray is None:
        raise SettingsError(
            f"gpus={gpus:g}: only Ray assigns GPUs (--ray); without it name them: --device cuda, "
            "or cuda:0,cuda:1."
        )
    devices = each_device(
        [name.strip() for name in device.split(",")], processes if ray is None else 1
    )
    where = {
        "processes": processes,
        "threads": threads,
        "device": None if devices == ["auto"] else devices,
    }
    if ray is None:
        return where
    address = None if ray == "local" else ray
    options: dict[str, Any] = {"address": address, "workers": processes, "gpus": gpus}
    return {**where, "executor": partial(OnRay, threads=threads, **options)}


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
    """Search on the validation partition, or continue the search that is in the folder `out`."""
    for what, name, known in (("model", model, MODELS), ("metric", measure, METRICS)):
        if name not in known:
            raise SettingsError(f"unknown {what} '{name}'.{suggest(name, known)}")
    if not any(view.sizes[1] for view in dataset.views.values()):
        raise DataError(
            "the data set has no validation items to search by; split it anew "
            "(dataset.with_split), or build it with a partition that has some."
        )
    check_used(MODELS[model], where.get("device"))
    built = MODELS[model](**settings)
    changes = None if space is None else read_space(space)
    for name in (*names, *(changes or {})):
        if name in settings:
            raise SettingsError(
                f"{name} is to be searched, and fixed at {settings[name]!r}; leave one of the two "
                "out."
            )
    ranges = search_space(built, [*names, *(changes or {})] or None, changes)
    metric = OverViews(dataset, measure, "validation", top_words)
    metric.check()
    file = out / f"{NAME}.json"
    options = {
        "number_of_call": calls,
        "model_runs": runs,
        "optimization_type": "Maximize" if metric.direction == "higher" else "Minimize",
        "topk": top_words,
        **search,
    }
    if runs_file(file).is_file() or file.is_file():
        further = _further_calls(file, ranges, options)
        return Optimizer().resume_optimization(
            file, further, model=built, dataset=dataset, metric=metric, progress=progress, **where
        )
    if out.is_file() or (out.is_dir() and any(map(_is_of_something_else, out.iterdir()))):
        raise StorageError(f"{out} exists already and holds no search; choose another folder.")
    return Optimizer().optimize(
        built,
        dataset,
        metric,
        ranges,
        save_models=False,
        save_path=out,
        save_name=NAME,
        progress=progress,
        **where,
        **options,
    )


def _is_of_something_else(path: Path) -> bool:
    return path.name != f"{NAME}.checkpoints" and not path.name.startswith(".")


def _further_calls(file: Path, ranges: Mapping[str, Any], options: Mapping[str, Any]) -> int:
    """Return how many calls are to follow those that the search was begun with."""
    record = read_search(file)
    before = {**record.settings.model_dump(), "search_space": record.search_space}
    now = {**options, "search_space": described_space(ranges)}
    calls, begun = now.pop("number_of_call"), record.settings.number_of_call
    differing = [
        f"{_OPTIONS.get(name, name)} ({before[name]!r} there, {value!r} here)"
        for name, value in now.items()
        if before[name] != value
    ]
    if differing:
        raise StorageError(
            f"{file} holds a search with another {', '.join(differing)}: repeat its command to "
            "continue, or choose another folder."
        )
    if calls < begun:
        raise SettingsError(
            f"calls={calls}: this search was begun with {begun}; give that many, or more to "
            "continue further."
        )
    return int(calls - begun)
