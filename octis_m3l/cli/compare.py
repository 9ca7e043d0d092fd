"""The command that trains models side by side."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from octis_m3l.cli import options
from octis_m3l.cli.printing import loading, print_json, screen, shows_progress
from octis_m3l.errors import DataError, SettingsError


def compare(
    data: options.Data,
    out: options.Out,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Ours, octis.LDA, octis.CombinedTM, ctm.SuperCTM, …; several times."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML: NAME: {model: octis.LDA, passes: 5}; results of other programs."),
    ] = None,
    topics: options.Topics = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="MODEL.NAME=VALUE", help="As m3l-contrast.epochs=200; several times."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 5,
    partition: options.Partition = "test",
    metric: options.Metrics = None,
    topk: Annotated[int, typer.Option(min=2, help="Top words of a topic that are scored.")] = 10,
    corpus: options.Corpus = None,
    encoder: Annotated[
        str, typer.Option(help="Of all models' embeddings: auto, given, use, e5, lsa, clsi, …")
    ] = "auto",
    views: options.Views = None,
    embeddings: options.Embeddings = None,
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
    processes: options.Processes = 1,
    ray: options.Ray = None,
    gpus: options.Gpus = 0.0,
    device: options.Devices = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
) -> None:
    """Train models side by side; say which is best in what, and whether it could be chance.

    Tables in Markdown, LaTeX and CSV, with the score of every run and item, are written to OUT.
    """
    if not model and config is None:
        raise SettingsError("name the models: --model m3l-contrast --model octis.LDA, or --config.")
    with loading():
        from octis_m3l.comparison import compare as run_comparison
        from octis_m3l.comparison.specifications import contender, read_contenders
        from octis_m3l.data import MultiviewDataset
        from octis_m3l.reports import comparison_table, write_comparison

    chosen = {
        name: contender(name, topics, trusted=trusted, **own)
        for name, own in _settings_by_model(set_, model or []).items()
    }
    of_file = {} if config is None else read_contenders(config, topics, trusted=trusted)
    for name in {*of_file} & {*chosen}:
        raise SettingsError(
            f"'{name}' is named by --model and in {config}; give one of the two another name."
        )
    source: Any = encoder
    result = run_comparison(
        chosen | of_file,
        options.read_data(data, embeddings, views),
        metrics=metric,
        seeds=seeds,
        partition=partition,
        topk=topk,
        corpus=None if corpus is None else MultiviewDataset.from_folder(corpus),
        encoder=source,
        out=out,
        progress=shows_progress(as_json),
        **options.workplace(processes, ray, gpus, device, threads),
    )
    write_comparison(result, out, intervals=intervals)
    if as_json:
        print_json({"standings": json.loads(result.frame().to_json(orient="records"))})
    else:
        screen.print(comparison_table(result, by_view=by_view, intervals=intervals))
    if len(result.failed) == len(result.runs):
        raise DataError(f"every run failed, the first with: {result.failed[0].error}")


def _settings_by_model(given: list[str] | None, models: list[str]) -> dict[str, dict[str, Any]]:
    """Return the values of --set by model and name."""
    found: dict[str, dict[str, Any]] = {model: {} for model in models}
    for entry, value in options.settings(given).items():
        model, dot, name = entry.rpartition(".")
        if not dot or model not in found:
            known = ", ".join(found) or "none is given"
            raise SettingsError(
                f"--set {entry}: expected MODEL.NAME=VALUE, with a model that --model names "
                f"({known})."
            )
        found[model][name] = value
    return found
