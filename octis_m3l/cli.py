"""The command line: parses, calls, prints."""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from octis_m3l.errors import DataError, OctisM3LError, SettingsError, suggest
from octis_m3l.experiments.arguments import pairs, settings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Topic models for many languages and images at once.",
)
MODEL_NAMES = (
    "gloctm",
    "infoctm",
    "m3l-contrast",
    "nmtm",
    "pltm",
    "zeroshot-tm",
    "zeroshot-tm-kd",
)
"""Of the registry, which costs seconds to import."""

_errors = Console(stderr=True)
_out = Console(width=None if sys.stdout.isatty() else 160)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Seed = Annotated[int, typer.Option(help="Of every random draw.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
Threads = Annotated[
    int, typer.Option(min=1, help="Of torch; one is fastest for small batches on shared machines.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Folder = Annotated[Path, typer.Argument(help="A folder.")]
Pairs = Annotated[list[str] | None, typer.Option(metavar="VIEW=COLUMN")]


@app.command()
def demo(
    out: Annotated[
        Path | None, typer.Option(help="Keep data set, model and a picture of the topics here.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Train on the corpus in the package: aligned topics in three languages, with pictures."""
    from octis_m3l.data import MultiviewDataset
    from octis_m3l.data.demo import demo_corpus
    from octis_m3l.experiments.demo import DEMO_SETTINGS, planted_recovery
    from octis_m3l.metrics import applicable
    from octis_m3l.models import M3LContrast
    from octis_m3l.reports import (
        draw_topic_sheet,
        listed_topics,
        recovery_table,
        scores_table,
        topics_table,
    )

    _use(threads)
    dataset = demo_corpus()
    model = M3LContrast(**DEMO_SETTINGS, seed=seed, device=device, progress=not as_json)
    output = model.train_model(dataset)
    measures = applicable(dataset, output)
    scores = {n: {w: m.score(output) for w, m in on.items()} for n, on in measures.items()}
    recovered = planted_recovery(dataset, output)
    if out is not None:
        dataset.save(out / "data", overwrite=True)
        model.data_path = str((out / "data").resolve())
        model.data_fingerprints = MultiviewDataset.from_folder(out / "data").fingerprints()
        model.save(out / "model", overwrite=True)
        draw_topic_sheet(model, out / "topics.png")
    if as_json:
        _print_json(
            {"scores": scores, "planted_themes": recovered, "topics": listed_topics(model, 10)}
        )
        return
    _out.print(topics_table(model, 7))
    _out.print(scores_table(scores, measures))
    _out.print(recovery_table(recovered))
    if out is not None:
        _out.print(
            f"Data set, model and topics.png are in {out}. Next: octis-m3l topics {out}/model"
        )
    else:
        _out.print("Keep data set, model and a picture of the topics: octis-m3l demo --out FOLDER")


@app.command()
def build(
    source: Annotated[
        Path,
        typer.Argument(
            help="A CSV, TSV or JSON lines file (.gz too), or a folder of train_bow_matrix_*.npz."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    text: Pairs = None,
    image: Pairs = None,
    partition: Annotated[str | None, typer.Option(help="Column: train, validation, test.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of labels.")] = None,
    group: Annotated[str | None, typer.Option(help="Column: rows that are one record.")] = None,
    language: Annotated[
        list[str] | None, typer.Option(metavar="VIEW=CODE", help="Where it isn't the view's name.")
    ] = None,
    vocabulary: Annotated[int, typer.Option(min=1, help="Words of each language.")] = 2000,
    tokenizer: Annotated[
        list[str] | None,
        typer.Option(metavar="VIEW=NAME", help="unicode, whitespace, jieba or fugashi."),
    ] = None,
    embeddings: Annotated[
        list[str] | None, typer.Option(metavar="VIEW=FILE.npy", help="Your own, row by row.")
    ] = None,
    word_vectors: Annotated[
        list[str] | None,
        typer.Option(metavar="VIEW=FILE", help="word2vec's text format, .npy or .npz."),
    ] = None,
    without_vector: Annotated[
        str, typer.Option(help="Words that the file lacks: error, or zeros.")
    ] = "error",
    dictionary: Annotated[
        list[str] | None,
        typer.Option(metavar="VIEW,VIEW=FILE", help="A word and its translation on each line."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other setting of TextPreprocessor: stop_words=false, keep_numbers=true, …",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Make a data set from a table: --text en=title_en --text de=title_de --image photos=path.

    Without --partition the records of a table are split at random: 80 % train, 10 % validation,
    10 % test. A folder of bags of words says itself what is train and what test.
    """
    from octis_m3l.experiments.tables import dataset_from_table, with_words

    dataset = dataset_from_table(
        source,
        texts=pairs(text, "--text"),
        images=pairs(image, "--image"),
        partition=partition,
        label=label,
        group=group,
        languages=pairs(language, "--language"),
        vocabulary=vocabulary,
        tokenizers=pairs(tokenizer, "--tokenizer"),
        embeddings=pairs(embeddings, "--embeddings"),
        settings=settings(set_),
    )
    dataset = with_words(
        dataset,
        pairs(word_vectors, "--word-vectors"),
        without_vector,
        pairs(dictionary, "--dictionary"),
    )
    dataset.save(out, overwrite=overwrite)
    _describe(dataset.info(), as_json)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="Folder of a data set; see build.")],
    out: Annotated[Path, typer.Option(help="Folder of the model.")],
    model: Annotated[str, typer.Option(help=f"{', '.join(MODEL_NAMES)}.")] = "m3l-contrast",
    topics: Annotated[int | None, typer.Option(min=2, help="K.  [default: 50]")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other hyperparameter."),
    ] = None,
    views: Annotated[str | None, typer.Option(help="Only these views: en,de,pictures")] = None,
    top_words: Annotated[
        int, typer.Option(help="Words that a topic is scored by; no more than a view has.")
    ] = 10,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = 1,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder to resume from; default: OUT.checkpoint")
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train a model; interrupted with Ctrl-C or killed, the same command goes on."""
    if model not in MODEL_NAMES:
        raise SettingsError(f"unknown model '{model}'.{suggest(model, MODEL_NAMES)}")
    from octis_m3l.data import MultiviewDataset
    from octis_m3l.experiments.training import train_and_save
    from octis_m3l.reports import topics_table

    _use(threads)
    trained = train_and_save(
        MultiviewDataset.from_folder(data),
        model,
        out,
        settings={
            "seed": seed,
            "device": device,
            **settings(set_, num_topics=topics),
        },
        views=[name.strip() for name in views.split(",")] if views else None,
        data_path=str(data.resolve()),
        checkpoint=checkpoint,
        overwrite=overwrite,
        progress=not as_json,
        top_words=top_words,
    )
    history = trained.history
    if as_json:
        _print_json({"model": str(out), "history": vars(history)})
    else:
        epochs = "epochs" in type(trained.trained_settings).model_fields
        counted = f" after {len(history.epochs)} epochs" if epochs else ""
        _out.print(f"{model} {history.stopped}{counted} ({history.seconds:.0f} s); saved in {out}")
        if history.stopped == "interrupted":
            _out.print("The same command goes on where this one stopped.")
        _out.print(topics_table(trained, 7))
    if history.stopped == "interrupted":
        raise typer.Exit(130)


@app.command()
def tune(
    data: Annotated[Path, typer.Argument(help="Folder of a data set; see build.")],
    out: Annotated[Path, typer.Option(help="Folder of the search.")],
    model: Annotated[str, typer.Option(help=f"{', '.join(MODEL_NAMES)}.")] = "m3l-contrast",
    metric: Annotated[
        str, typer.Option(help="Searched by: its mean over views, on validation items.")
    ] = "mrr",
    search: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="What to search; default: all that the model declares."),
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
    top_words: Annotated[int, typer.Option(help="Words that a topic is scored by.")] = 10,
    picture: Annotated[
        Path | None, typer.Option(help="Of the response surface; default: search.png in OUT.")
    ] = None,
    seed: Seed = 0,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, or several: cuda:0,cuda:1")
    ] = "auto",
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Search hyperparameters on the validation items; interrupted, the same command goes on."""
    if model not in MODEL_NAMES:
        raise SettingsError(f"unknown model '{model}'.{suggest(model, MODEL_NAMES)}")
    from octis_m3l.data import MultiviewDataset
    from octis_m3l.experiments.tuning import tune as run_search
    from octis_m3l.experiments.tuning import workplace
    from octis_m3l.reports import draw_search, importances, search_table

    _use(threads)
    dataset = MultiviewDataset.from_folder(data)
    if views:
        dataset = dataset.with_views([name.strip() for name in views.split(",")])
    result = run_search(
        dataset,
        model,
        out,
        settings={"seed": seed, **settings(set_, num_topics=topics)},
        measure=metric,
        names=search or (),
        space=space,
        calls=calls,
        runs=runs,
        top_words=top_words,
        where=workplace(processes, ray, gpus, device, threads),
        progress=not as_json,
        search={
            "n_random_starts": random_starts,
            "surrogate_model": surrogate,
            "acq_func": acquisition,
            "batch": batch,
            "random_state": seed,
        },
    )
    enough = sum(median is not None for median in result.medians) >= 4
    weights = importances(result) if enough else {}
    if enough:
        draw_search(result, picture or out / "search.png")
    if as_json:
        _print_json(
            {
                "best": result.best,
                "score": result.best_score,
                "importances": weights,
                "x_iters": result.x_iters,
                "medians": result.medians,
            }
        )
        return
    _out.print(search_table(result, weights))
    if not result.best:
        raise DataError(f"every run failed, the first with: {result.outcomes[0].error}")
    held = {**settings(set_, num_topics=topics), **result.best, "seed": seed}
    chosen = " ".join(f"--set {n}={v}" for n, v in held.items() if n != "seed")
    of_views = f" --views {views}" if views else ""
    _out.print(
        f"Train it: octis-m3l train {data} --model {model} {chosen} --seed {seed}{of_views} "
        "--out MODEL",
        soft_wrap=True,
        markup=False,
    )


@app.command()
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
    topics: Annotated[int | None, typer.Option(min=2, help="K of every model.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 5,
    partition: Annotated[str, typer.Option(help="test, validation or train.")] = "test",
    metric: Annotated[list[str] | None, typer.Option(help="Default: all that apply.")] = None,
    topk: Annotated[int, typer.Option(min=2, help="Words of a topic that are looked at.")] = 10,
    corpus: Annotated[
        Path | None, typer.Option(help="Folder of linked documents that CNPMI counts words in.")
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="Of all models' embeddings: auto, given, lsa, clsi, word-vectors.")
    ] = "auto",
    views: Annotated[str | None, typer.Option(help="Only these views: en,de,pictures")] = None,
    by_view: Annotated[
        bool, typer.Option("--by-view", help="A column for each view and pair of views.")
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
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Train models side by side, and say which is best in what, and how surely.

    Tables in Markdown, LaTeX and CSV, with the score of every run and item, are written to OUT.
    """
    if not model and config is None:
        raise SettingsError("name the models: --model m3l-contrast --model octis.LDA, or --config.")
    from octis_m3l.comparison import compare as run_comparison
    from octis_m3l.comparison.specifications import contender, read_contenders
    from octis_m3l.data import MultiviewDataset
    from octis_m3l.experiments.tuning import workplace
    from octis_m3l.reports import comparison_table, write_comparison

    _use(threads)
    chosen = {name: contender(name, topics) for name in model or ()}
    of_file = {} if config is None else read_contenders(config, topics)
    for name in of_file:
        if name in chosen:
            raise SettingsError(
                f"'{name}' is named by --model and in {config}; call one otherwise."
            )
    chosen |= of_file
    dataset = MultiviewDataset.from_folder(data)
    if views:
        dataset = dataset.with_views([name.strip() for name in views.split(",")])
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
        progress=not as_json,
        **workplace(processes, ray, gpus, device, threads),
    )
    write_comparison(result, out)
    if as_json:
        _print_json({"standings": json.loads(result.frame().to_json(orient="records"))})
    else:
        _out.print(comparison_table(result, by_view=by_view))
    if len(result.failed) == len(result.runs):
        raise DataError(f"every run failed, the first with: {result.failed[0].error}")


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="Folder of a model.")],
    data: Annotated[Path | None, typer.Option(help="Default: what it was trained on.")] = None,
    partition: Annotated[str, typer.Option(help="test, validation or train.")] = "test",
    metric: Annotated[list[str] | None, typer.Option(help="Default: all that apply.")] = None,
    topk: Annotated[int, typer.Option(min=1, help="Words of a topic that are looked at.")] = 10,
    corpus: Annotated[
        Path | None, typer.Option(help="Folder of linked documents that CNPMI counts words in.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a model: every measure that applies, on every view and pair of views."""
    from octis_m3l.data import MultiviewDataset
    from octis_m3l.metrics import applicable
    from octis_m3l.reports import scores_table

    loaded, dataset = _model_and_data(model, data)
    output = loaded.output
    reference = None if corpus is None else MultiviewDataset.from_folder(corpus)
    measures = applicable(dataset, output, partition, metric, topk=topk, corpus=reference)
    scores = {n: {w: m.score(output) for w, m in on.items()} for n, on in measures.items()}
    covered = {
        where: metric.coverage(output) for where, metric in measures.get("cnpmi", {}).items()
    }
    if as_json:
        _print_json({"partition": partition, "scores": scores, "coverage": covered})
    else:
        _out.print(scores_table(scores, measures, covered))
    languages = [name for name in dataset.text_views if f"topics/{name}" in output]
    if metric is None and "cnpmi" not in measures and len(languages) > 1:
        _errors.print(
            "cnpmi and topic-quality are left out: they count words in linked documents, and there "
            "are less than 200 held out; --corpus FOLDER names some, --metric cnpmi asks for it.",
            markup=False,
            highlight=False,
        )


@app.command()
def topics(
    model: Annotated[Path, typer.Argument(help="Folder of a model.")],
    words: Annotated[int, typer.Option(min=1, help="Of each topic.")] = 10,
    documents: Annotated[
        int, typer.Option(min=0, help="Show so many typical items of each view.")
    ] = 0,
    data: Annotated[Path | None, typer.Option(help="Default: what it was trained on.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the topics, with their pictures, to this file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the aligned topics, most frequent first."""
    from octis_m3l.models import load_model
    from octis_m3l.reports import draw_topic_sheet, listed_topics, topics_table

    loaded: Any = load_model(model)
    if documents or picture:
        loaded, dataset = _model_and_data(model, data)
        loaded.dataset = dataset
    listed = listed_topics(loaded, words)
    for entry in listed if documents else ():
        entry["documents"] = {
            view: [
                {
                    "row": int(r.input_row),
                    "weight": round(float(r.weight), 4),
                    "item": str(r.content),
                }
                for r in loaded.representatives(entry["topic"], view, count=documents).itertuples()
            ]
            for view in loaded.output.views
        }
    if picture:
        draw_topic_sheet(loaded, picture, words=words)
        _errors.print(f"drawn to {picture}", markup=False, highlight=False)
    if as_json:
        _print_json({"topics": listed})
        return
    _out.print(topics_table(loaded, words))
    for entry in listed if documents else ():
        _out.print(f"\n[bold]topic {entry['topic']}[/bold]")
        for view, items in entry["documents"].items():
            for item in items:
                shown = " ".join(item["item"].split())[:110]
                _out.print(f"  {view} {item['weight']:.2f}  {shown}", markup=False)


@app.command()
def infer(
    model: Annotated[Path, typer.Argument(help="Folder of a model.")],
    items: Annotated[
        list[str] | None,
        typer.Argument(
            help="Texts, pictures' paths, or one .npy of embeddings; - : lines of stdin"
        ),
    ] = None,
    view: Annotated[
        str, typer.Option(help="The items' view; may be left out where there is one language.")
    ] = "",
    topics: Annotated[int, typer.Option(min=1, help="How many topics of each item.")] = 3,
    words: Annotated[int, typer.Option(min=1, help="How many words of each topic.")] = 6,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Show the topics of new documents or pictures, with their words in every language."""
    from octis_m3l.experiments.inference import only_language, read_items
    from octis_m3l.models import load_model

    loaded: Any = load_model(model, device=device)
    chosen = view or only_language(loaded)
    given = read_items(items or ["-"], loaded, chosen)
    theta = loaded.infer(given, chosen)
    found = loaded.words_of(theta, topics=topics, words=words)
    if as_json:
        rows = found.to_dict("records")
        _print_json(
            {
                "view": chosen,
                "topics": rows,
                "theta": [[round(float(x), 6) for x in t] for t in theta],
            }
        )
        return
    table = Table(*[str(column) for column in found.columns])
    for row in found.itertuples(index=False):
        table.add_row(*[f"{x:.3f}" if isinstance(x, float) else Text(str(x)) for x in row])
    _out.print(table)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="A model; default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the models, or the hyperparameters of one: what --set and Python take."""
    if name is not None and name not in MODEL_NAMES:
        raise SettingsError(f"unknown model '{name}'.{suggest(name, MODEL_NAMES)}")
    from octis_m3l.experiments.information import describe_model

    described = {n: describe_model(n) for n in MODEL_NAMES if name in (None, n)}
    if as_json:
        _print_json(described)
    elif name is None:
        table = Table("model", "what it is")
        for each, of_model in described.items():
            table.add_row(each, of_model["summary"])
        _out.print(table)
        _out.print("The hyperparameters of one: octis-m3l models MODEL")
    else:
        _out.print(described[name]["summary"], markup=False)
        table = Table("hyperparameter", "default", "range", "what it is")
        for setting, of_setting in described[name]["hyperparameters"].items():
            cells = (of_setting[key] for key in ("default", "range", "what"))
            table.add_row(setting, *[Text(str(cell)) for cell in cells])
        _out.print(table)


@app.command()
def info(
    folder: Annotated[
        Path | None, typer.Argument(help="A data set or a model; default: this installation.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a data set or a model holds, or what is installed here."""
    from octis_m3l.experiments.information import describe

    _describe(describe(folder), as_json)


def main() -> None:
    """Run the command line; errors that a user can mend are one line and exit code 1."""
    warnings.showwarning = _show_warning
    try:
        app()
    except OctisM3LError as error:
        _errors.print("[bold red]error:[/bold red]", end=" ")
        _errors.print(str(error), markup=False, highlight=False)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except (OSError, UnicodeError) as error:
        _errors.print("[bold red]error:[/bold red]", end=" ")
        _errors.print(f"{error}; check the path and its permissions.", markup=False)
        raise SystemExit(1) from None


def _use(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _model_and_data(model: Path, data: Path | None) -> tuple[Any, Any]:
    from octis_m3l.data import MultiviewDataset
    from octis_m3l.models import load_model

    loaded: Any = load_model(model)
    path = data or loaded.data_path
    if path is None:
        raise DataError("the model does not know where its data set is; pass --data FOLDER.")
    dataset = MultiviewDataset.from_folder(path)
    known = loaded.data_fingerprints
    trained = [name for name in dataset.views if known is None or name in known]
    if len(trained) < len(dataset.views):
        dataset = dataset.with_views(trained)
    if known is not None and known != dataset.fingerprints():
        raise DataError(
            f"{path} is not the data set that the model was trained on, or has changed since: "
            "items, partitions or links differ. Pass that data set with --data, or train again."
        )
    inferred = [name for name in dataset.views if name in loaded.output.views]
    return loaded, dataset.with_views(inferred)


def _describe(described: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(described)
    else:
        _out.print_json(json.dumps(described, default=str))


def _print_json(content: Any) -> None:
    print(json.dumps(content, ensure_ascii=False, default=str))


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning):
        _errors.print("[yellow]warning:[/yellow]", end=" ")
        _errors.print(str(message), markup=False, highlight=False)
