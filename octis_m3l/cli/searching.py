"""Commands that train many: a search, and models side by side."""

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from octis_m3l.cli.shared import (
    AsJson,
    Embeddings,
    Seed,
    Threads,
    errors,
    loading,
    print_json,
    read_data,
    screen,
)
from octis_m3l.errors import DataError, SettingsError, suggest
from octis_m3l.experiments.arguments import settings, settings_by_model
from octis_m3l.metrics import METRICS
from octis_m3l.models import MODELS
from octis_m3l.progress import is_watched


def tune(
    data: Annotated[Path, typer.Argument(help="Folder of a data set; see build.")],
    out: Annotated[Path, typer.Option(help="Folder of the search.")],
    model: Annotated[str, typer.Option(help=f"{', '.join(MODELS)}.")] = "m3l-contrast",
    metric: Annotated[
        str, typer.Option(help=f"Searched by, as a mean over views: {', '.join(METRICS)}.")
    ] = "mrr",
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What to search; default: what the model declares, but for --topics and --set.",
        ),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(help="YAML: temperature: {low: 0.01, high: 1, prior: log-uniform}"),
    ] = None,
    calls: Annotated[int, typer.Option(min=1, help="Points to try.")] = 30,
    runs: Annotated[int, typer.Option(min=1, help="Seeds of each point.")] = 3,
    random_starts: Annotated[int, typer.Option(min=1, help="Points drawn before it learns.")] = 10,
    surrogate: Annotated[str, typer.Option(help="RF, ET, GP, or RS: a random search.")] = "RF",
    acquisition: Annotated[str, typer.Option(help="LCB, EI or PI.")] = "LCB",
    batch: Annotated[int, typer.Option(min=1, help="Points that are proposed together.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 1,
    ray: Annotated[
        str | None,
        typer.Option(help="Run on a Ray cluster: its address, auto, or local to begin one."),
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, help="Of each run, on Ray.")] = 0.0,
    topics: Annotated[int | None, typer.Option(min=2, help="K.  [default: 50]")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Hyperparameters that stay."),
    ] = None,
    views: Annotated[str | None, typer.Option(help="Only these views: en,de,pictures")] = None,
    embeddings: Embeddings = None,
    top_words: Annotated[int, typer.Option(help="Words that a topic is scored by.")] = 10,
    picture: Annotated[
        Path | None, typer.Option(help="Of the response surface; default: search.png in OUT.")
    ] = None,
    seed: Seed = 0,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, or several: cuda:0,cuda:1")
    ] = "auto",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Search hyperparameters on the validation items; interrupted, the same command goes on."""
    if model not in MODELS:
        raise SettingsError(f"unknown model '{model}'.{suggest(model, MODELS)}")
    with loading():
        from octis_m3l.experiments.tuning import tune as run_search
        from octis_m3l.experiments.tuning import workplace
        from octis_m3l.reports import (
            FEWEST,
            at_edge,
            check_picture,
            draw_search,
            importances,
            search_table,
        )

        if picture is not None:
            check_picture(picture)
        dataset = read_data(data, embeddings, views)
    stays = settings(set_, num_topics=topics)
    where = workplace(processes, ray, gpus, device, threads)
    result = run_search(
        dataset,
        model,
        out,
        settings={"seed": seed, **stays},
        measure=metric,
        names=search or (),
        space=space,
        calls=calls,
        runs=runs,
        top_words=top_words,
        where=where | ({"device": None} if "device" in stays else {}),
        progress=not as_json and is_watched(),
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
        held = {**stays, **result.best}
        options = [
            ("--model", model),
            *(("--set", f"{name}={value}") for name, value in held.items()),
            ("--seed", str(seed)),
            *([("--views", views)] if views else []),
            *(("--embeddings", one) for one in embeddings or ()),
        ]
        words = [word for option in options for word in option]
        command = shlex.join(["octis-m3l", "train", str(data), *words])
        screen.print(f"Train it: {command} --out MODEL", soft_wrap=True, markup=False)
    if enough:
        draw_search(result, picture or out / "search.png")
    elif picture is not None:
        errors.print(f"{picture} was not drawn: it takes {FEWEST} calls that did not fail.")


def compare(
    data: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the comparison; the same command goes on.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="Ours, octis.LDA, octis.CombinedTM, ctm.SuperCTM, …; several times."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML: NAME: {model: octis.LDA, passes: 5}; results of other programs."),
    ] = None,
    topics: Annotated[
        int | None, typer.Option(min=2, help="K of every model.  [default: 50]")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="MODEL.NAME=VALUE", help="As m3l-contrast.epochs=200; several times."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 5,
    partition: Annotated[str, typer.Option(help="test, validation or train.")] = "test",
    metric: Annotated[
        list[str] | None,
        typer.Option(help=f"Default: all that apply of {', '.join(METRICS)}."),
    ] = None,
    topk: Annotated[int, typer.Option(min=2, help="Words of a topic that are looked at.")] = 10,
    corpus: Annotated[
        Path | None, typer.Option(help="Folder of linked documents that CNPMI counts words in.")
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="Of all models' embeddings: auto, given, lsa, clsi, word-vectors.")
    ] = "auto",
    views: Annotated[str | None, typer.Option(help="Only these views: en,de,pictures")] = None,
    embeddings: Embeddings = None,
    by_view: Annotated[
        bool, typer.Option("--by-view", help="A column for each view and pair of views.")
    ] = False,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="95 % confidence intervals instead of ± std.")
    ] = False,
    trusted: Annotated[
        bool,
        typer.Option("--trusted", help="Let octis.ETM unpickle its embeddings_path: runs code."),
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 1,
    ray: Annotated[
        str | None,
        typer.Option(help="Run on a Ray cluster: its address, auto, or local to begin one."),
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, help="Of each run, on Ray.")] = 0.0,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, or several: cuda:0,cuda:1")
    ] = "auto",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Train models side by side, and say which is best in what, and how surely.

    Tables in Markdown, LaTeX and CSV, with the score of every run and item, are written to OUT.
    """
    if not model and config is None:
        raise SettingsError("name the models: --model m3l-contrast --model octis.LDA, or --config.")
    with loading():
        from octis_m3l.comparison import compare as run_comparison
        from octis_m3l.comparison.specifications import contender, read_contenders
        from octis_m3l.data import MultiviewDataset
        from octis_m3l.experiments.tuning import workplace
        from octis_m3l.reports import comparison_table, write_comparison

    own = settings_by_model(set_, model or ())
    chosen = {n: contender(n, topics, trusted=trusted, **given) for n, given in own.items()}
    of_file = {} if config is None else read_contenders(config, topics, trusted=trusted)
    for name in of_file:
        if name in chosen:
            raise SettingsError(
                f"'{name}' is named by --model and in {config}; call one otherwise."
            )
    chosen |= of_file
    dataset = read_data(data, embeddings, views)
    given: Any = encoder
    result = run_comparison(
        chosen,
        dataset,
        metrics=metric,
        seeds=seeds,
        partition=partition,
        topk=topk,
        corpus=None if corpus is None else MultiviewDataset.from_folder(corpus),
        encoder=given,
        out=out,
        progress=not as_json and is_watched(),
        **workplace(processes, ray, gpus, device, threads),
    )
    write_comparison(result, out, intervals=intervals)
    if as_json:
        print_json({"standings": json.loads(result.frame().to_json(orient="records"))})
    else:
        screen.print(comparison_table(result, by_view=by_view, intervals=intervals))
    if len(result.failed) == len(result.runs):
        raise DataError(f"every run failed, the first with: {result.failed[0].error}")
