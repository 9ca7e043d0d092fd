"""The command that searches hyperparameters."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from octis_m3l.cli.options import (
    AsJson,
    Data,
    Devices,
    Embeddings,
    Gpus,
    Metric,
    Model,
    Out,
    Picture,
    Processes,
    Ray,
    Seed,
    Set,
    Threads,
    Topics,
    TopWords,
    Views,
    read_data,
    settings,
)
from octis_m3l.cli.printing import errors, loading, print_json, screen, shows_progress
from octis_m3l.errors import DataError


def tune(
    data: Data,
    out: Out,
    model: Model = "m3l-contrast",
    metric: Metric = "mrr",
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
    processes: Processes = 1,
    ray: Ray = None,
    gpus: Gpus = 0.0,
    topics: Topics = None,
    set_: Set = None,
    views: Views = None,
    embeddings: Embeddings = None,
    top_words: TopWords = 10,
    picture: Picture = None,
    seed: Seed = 0,
    device: Devices = "auto",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Search hyperparameters on the validation items; interrupted, the same command continues.

    The response surface is drawn to search.png in OUT, or to --picture.
    """
    with loading():
        from octis_m3l.reports import (
            FEWEST,
            at_edge,
            check_picture,
            draw_search,
            importances,
            search_table,
        )
        from octis_m3l.search.tuning import tune as run_search
        from octis_m3l.search.tuning import workplace

        if picture is not None:
            check_picture(picture)
        dataset = read_data(data, embeddings, views)
    fixed = settings(set_, num_topics=topics)
    where = workplace(processes, ray, gpus, device, threads)
    result = run_search(
        dataset,
        model,
        out,
        settings={"seed": seed, **fixed},
        measure=metric,
        names=search or (),
        space=space,
        calls=calls,
        runs=runs,
        top_words=top_words,
        where=where | ({"device": None} if "device" in fixed else {}),
        progress=shows_progress(as_json),
        search={
            "n_random_starts": random_starts,
            "surrogate_model": surrogate,
            "acq_func": acquisition,
            "batch": batch,
            "random_state": seed,
        },
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
