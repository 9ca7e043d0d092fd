"""Commands that train: the demo, and one model."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from octis_m3l.cli.shared import (
    AsJson,
    Device,
    Embeddings,
    Overwrite,
    Seed,
    Threads,
    print_json,
    read_data,
    screen,
)
from octis_m3l.errors import SettingsError, suggest
from octis_m3l.experiments.arguments import settings
from octis_m3l.files import check_can_write, check_can_write_file
from octis_m3l.models import MODELS
from octis_m3l.progress import is_watched


def demo(
    out: Annotated[
        Path | None, typer.Option(help="Keep data set, model and a picture of the topics here.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Train on the corpus in the package: aligned topics in three languages, with pictures."""
    from octis_m3l.data import MultiviewDataset
    from octis_m3l.data.demo import demo_corpus
    from octis_m3l.data.folder.manifest import MANIFEST
    from octis_m3l.experiments.demo import DEMO_SETTINGS, planted_recovery
    from octis_m3l.metrics.scores import applicable, scores_of
    from octis_m3l.models import M3LContrast
    from octis_m3l.models.storage import MARKER
    from octis_m3l.reports import (
        draw_topic_sheet,
        listed_topics,
        recovery_table,
        scores_table,
        topics_table,
    )

    if out is not None:
        check_can_write(out / "data", overwrite=True, marker=MANIFEST)
        check_can_write(out / "model", overwrite=True, marker=MARKER)
        check_can_write_file(out / "topics.png")
    dataset = demo_corpus()
    model = M3LContrast(
        **DEMO_SETTINGS,
        seed=seed,
        device=device,
        threads=threads or 0,
        progress=not as_json and is_watched(),
    )
    output = model.train_model(dataset)
    measures = applicable(dataset, output)
    scores = scores_of(measures, output)
    recovered = planted_recovery(dataset, output)
    if out is not None:
        dataset.save(out / "data", overwrite=True)
        model.data_path = str((out / "data").resolve())
        model.data_fingerprints = MultiviewDataset.from_folder(out / "data").fingerprints()
        model.save(out / "model", overwrite=True)
        draw_topic_sheet(model, out / "topics.png")
    if as_json:
        print_json(
            {"scores": scores, "planted_themes": recovered, "topics": listed_topics(model, 10)}
        )
        return
    screen.print(topics_table(model, 7))
    screen.print(scores_table(scores, measures))
    screen.print(recovery_table(recovered))
    if out is not None:
        screen.print(
            f"Data set, model and topics.png are in {out}. Next: octis-m3l topics {out}/model"
        )
    else:
        screen.print(
            "Keep data set, model and a picture of the topics: octis-m3l demo --out FOLDER"
        )


def train(
    data: Annotated[Path, typer.Argument(help="Folder of a data set; see build.")],
    out: Annotated[Path, typer.Option(help="Folder of the model.")],
    model: Annotated[str, typer.Option(help=f"{', '.join(MODELS)}.")] = "m3l-contrast",
    topics: Annotated[int | None, typer.Option(min=2, help="K.  [default: 50]")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other hyperparameter."),
    ] = None,
    views: Annotated[str | None, typer.Option(help="Only these views: en,de,pictures")] = None,
    embeddings: Embeddings = None,
    top_words: Annotated[
        int, typer.Option(help="Words that a topic is scored by; no more than a view has.")
    ] = 10,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder to resume from; default: OUT.checkpoint")
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train a model; interrupted with Ctrl-C or killed, the same command goes on."""
    if model not in MODELS:
        raise SettingsError(f"unknown model '{model}'.{suggest(model, MODELS)}")
    from octis_m3l.experiments.training import train_and_save
    from octis_m3l.reports import topics_table

    trained = train_and_save(
        read_data(data, embeddings, views),
        model,
        out,
        settings={
            "seed": seed,
            "device": device,
            **settings(set_, num_topics=topics, threads=threads),
        },
        views=[name.strip() for name in views.split(",")] if views else None,
        data_path=str(data.resolve()),
        checkpoint=checkpoint,
        overwrite=overwrite,
        progress=not as_json and is_watched(),
        top_words=top_words,
    )
    history = trained.history
    if as_json:
        print_json({"model": str(out), "history": vars(history)})
    else:
        epochs = "epochs" in type(trained.trained_settings).model_fields
        counted = f"after {len(history.epochs)} epochs " if epochs else ""
        screen.print(
            f"{model} {history.stopped} {counted}({history.seconds:.0f} s); saved in {out}"
        )
        if history.stopped == "interrupted":
            screen.print("The same command goes on where this one stopped.")
        screen.print(topics_table(trained, 7))
    if history.stopped == "interrupted":
        raise typer.Exit(130)


def models(
    name: Annotated[str | None, typer.Argument(help="A model; default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the models, or the hyperparameters of one: what --set and Python take."""
    if name is not None and name not in MODELS:
        raise SettingsError(f"unknown model '{name}'.{suggest(name, MODELS)}")
    if name is None and not as_json:
        table = Table("model", "what it is")
        for each, found in MODELS.registered.items():
            table.add_row(each, found.summary)
        screen.print(table)
        screen.print("The hyperparameters of one: octis-m3l models MODEL")
        return
    from octis_m3l.experiments.information import describe_model

    described = {n: describe_model(n) for n in MODELS if name in (None, n)}
    if name is None or as_json:
        print_json(described)
    else:
        screen.print(described[name]["summary"], markup=False)
        table = Table("hyperparameter", "default", "range", "what it is")
        for setting, of_setting in described[name]["hyperparameters"].items():
            cells = (of_setting[key] for key in ("default", "range", "what"))
            table.add_row(setting, *[Text(str(cell)) for cell in cells])
        screen.print(table)
