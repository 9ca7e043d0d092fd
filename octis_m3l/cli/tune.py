"""The command that searches hyperparameters."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from octis_m3l.cli import options
from octis_m3l.cli.printing import errors, loading, print_json, screen, shows_progress
from octis_m3l.devices import check_used
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.files import read_yaml
from octis_m3l.models import MODELS

_NAME = "search"
_OPTIONS = {
    "model_runs": "--runs",
    "n_random_starts": "--random-starts",
    "surrogate_model": "--surrogate",
    "acq_func": "--acquisition",
    "topk": "--top-words",
    "random_state": "--seed",
    "search_space": "--search or --space",
}


def tune(
    data: options.Data,
    out: options.Out,
    model: options.Model = "m3l-contrast",
    metric: options.Metric = "mrr",
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What to search; default: the model's own search space, except values set "
            "explicitly.",
        ),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(help="YAML: temperature: {low: 0.01, high: 1, prior: log-uniform}"),
    ] = None,
    calls: Annotated[int, typer.Option(min=1, help="Points to try.")] = 30,
    runs: Annotated[int, typer.Option(min=1, help="Seeds of each point.")] = 3,
    random_starts: Annotated[
        int, typer.Option(min=1, help="Points drawn at random before the surrogate is used.")
    ] = 10,
    surrogate: Annotated[str, typer.Option(help="RF, ET, GP, or RS: a random search.")] = "RF",
    acquisition: Annotated[str, typer.Option(help="LCB, EI or PI.")] = "LCB",
    batch: Annotated[int, typer.Option(min=1, help="Points that are proposed together.")] = 1,
    processes: options.Processes = 1,
    ray: options.Ray = None,
    gpus: options.Gpus = 0.0,
    topics: options.Topics = None,
    set_: options.Set = None,
    views: options.Views = None,
    embeddings: options.Embeddings = None,
    top_words: options.TopWords = 10,
    picture: options.Picture = None,
    seed: options.Seed = 0,
    device: options.Devices = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
) -> None:
    """Search hyperparameters on the validation items; interrupted, the same command continues.

    The response surface is drawn to search.png in OUT, or to --picture.
    """
    with loading():
        from octis_m3l.metrics import OverViews
        from octis_m3l.reports import (
            FEWEST,
            at_edge,
            check_picture,
            draw_search,
            importances,
            search_table,
        )
        from octis_m3l.search import search_space

        if picture is not None:
            check_picture(picture)
        dataset = options.read_data(data, embeddings, views)
    fixed = options.settings(set_, num_topics=topics)
    where = options.workplace(processes, ray, gpus, device, threads)
    check_used(MODELS[model], where["device"])
    if "device" in fixed:
        where["device"] = None
    if not any(view.sizes[1] for view in dataset.views.values()):
        raise DataError(
            "the data set has no validation items to search by; split it anew "
            "(dataset.with_split), or build it with a partition that has some."
        )
    given = {"seed": seed, **fixed}
    built, changes = MODELS[model](**given), {} if space is None else _read_space(space)
    names = [*(search or ()), *changes]
    for name in names:
        if name in given:
            raise SettingsError(
                f"{name} is to be searched, and fixed at {given[name]!r}; leave one of the two out."
            )
    measure = OverViews(dataset, metric, "validation", top_words)
    measure.check()
    result = _searched(
        (built, dataset, measure, search_space(built, names or None, changes)),
        out,
        {
            "number_of_call": calls,
            "model_runs": runs,
            "optimization_type": "Maximize" if measure.direction == "higher" else "Minimize",
            "topk": top_words,
            "n_random_starts": random_starts,
            "surrogate_model": surrogate,
            "acq_func": acquisition,
            "batch": batch,
            "random_state": seed,
        },
        {**where, "progress": shows_progress(as_json)},
    )
    enough = sum(median is not None for median in result.medians) >= FEWEST
    weights = importances(result) if enough else {}
    if as_json:
        print_json(
            {
                "best": result.best,
                "score": result.best_score,
                "importances": weights,
                "at_edge": at_edge(result),
                "x_iters": result.x_iters,
                "medians": result.medians,
            }
        )
    else:
        screen.print(search_table(result, weights))
    if not result.best:
        raise DataError(f"every run failed, the first with: {result.outcomes[0].error}")
    if not as_json:
        chosen = {**fixed, **result.best}
        words = ["octis-m3l", "train", str(data), "--model", model]
        words += [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
        words += ["--seed", str(seed)] + (["--views", views] if views else [])
        words += [word for one in embeddings or () for word in ("--embeddings", one)]
        screen.print(f"Train it: {shlex.join(words)} --out MODEL", soft_wrap=True, markup=False)
    if enough:
        draw_search(result, picture or out / "search.png")
    elif picture is not None:
        errors.say(f"{picture} was not drawn: it needs {FEWEST} calls that did not fail.")


def _read_space(path: Path) -> dict[str, Any]:
    """Return the ranges in a YAML file."""
    content = read_yaml(path)
    if not isinstance(content, dict) or not content:
        raise SettingsError(
            f"{path}: expected hyperparameters with their ranges, as in "
            "'temperature: {low: 0.01, high: 1, prior: log-uniform}'."
        )
    return {str(name): given for name, given in content.items()}


def _searched(
    parts: tuple[Any, Any, Any, Any],
    out: Path,
    settings: Mapping[str, Any],
    where: Mapping[str, Any],
) -> Any:
    """Begin a search of a model, data set, metric and space, or continue the one in a folder."""
    from octis_m3l.search import Optimizer
    from octis_m3l.search.record import runs_file

    model, dataset, metric, ranges = parts
    file = out / f"{_NAME}.json"
    if runs_file(file).is_file() or file.is_file():
        further = _further_calls(file, ranges, settings)
        given = {"model": model, "dataset": dataset, "metric": metric}
        return Optimizer().resume_optimization(file, further, **given, **where)
    own = f"{_NAME}.checkpoints"
    if out.is_file() or (
        out.is_dir() and any(p.name != own and not p.name.startswith(".") for p in out.iterdir())
    ):
        raise StorageError(f"{out} exists already and holds no search; choose another folder.")
    place: dict[str, Any] = {"save_models": False, "save_path": out, "save_name": _NAME}
    return Optimizer().optimize(model, dataset, metric, ranges, **settings, **where, **place)


def _further_calls(file: Path, ranges: Mapping[str, Any], settings: Mapping[str, Any]) -> int:
    """Return how many calls are to follow those that the search was begun with."""
    from octis_m3l.search.record import read_search
    from octis_m3l.search.spaces import described_space

    record = read_search(file)
    before = {**record.settings.model_dump(), "search_space": record.search_space}
    now = {**settings, "search_space": described_space(ranges)}
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
