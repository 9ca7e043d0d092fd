"""Commands that train one model: demo, train."""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

import octis_m3l
from octis_m3l.cli import options
from octis_m3l.cli.printing import print_json, screen, shows_progress
from octis_m3l.devices import check_used
from octis_m3l.errors import OtherRunError, StorageError
from octis_m3l.files import check_can_write, check_can_write_file, held, read_json, recover
from octis_m3l.models import MODELS

# A topic for each theme: a spare topic would split one. A higher temperature than the default lets
# the reconstruction find the themes before the contrastive term separates documents of one theme.
_DEMO: dict[str, Any] = {"num_topics": 10, "temperature": 0.3, "prior_weight": 1.0}


def demo(
    out: Annotated[
        Path | None, typer.Option(help="Keep data set, model and a picture of the topics here.")
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
) -> None:
    """Train on the corpus in the package: aligned topics in three languages, with pictures."""
    from octis_m3l.data.folder.manifest import MANIFEST
    from octis_m3l.metrics.scores import applicable, scores_of
    from octis_m3l.models.storage import MARKER
    from octis_m3l.reports import (
        draw_topic_sheet,
        listed_topics,
        planted_recovery,
        recovery_table,
        scores_table,
        topics_table,
    )

    if out is not None:
        check_can_write(out / "data", overwrite=True, marker=MANIFEST)
        check_can_write(out / "model", overwrite=True, marker=MARKER)
        check_can_write_file(out / "topics.png")
    dataset = octis_m3l.demo_corpus()
    progress = shows_progress(as_json)
    given = {**_DEMO, "seed": seed, "device": device, "threads": threads or 0}
    model = octis_m3l.M3LContrast(**given, progress=progress)
    output = model.train_model(dataset)
    measures = applicable(dataset, output)
    scores = scores_of(measures, output)
    recovered = planted_recovery(dataset, output)
    if out is not None:
        dataset.save(out / "data", overwrite=True)
        model.data_path = str((out / "data").resolve())
        saved = octis_m3l.MultiviewDataset.from_folder(out / "data")
        model.data_fingerprints = saved.fingerprints()
        model.save(out / "model", overwrite=True)
        draw_topic_sheet(model, out / "topics.png")
    if as_json:
        listed = listed_topics(model, 10)
        print_json({"scores": scores, "planted_themes": recovered, "topics": listed})
        return
    screen.print(topics_table(model, 7))
    screen.print(scores_table(scores, measures))
    screen.print(recovery_table(recovered))
    screen.print(
        "Keep data set, model and a picture of the topics: octis-m3l demo --out FOLDER"
        if out is None
        else f"Data set, model and topics.png are in {out}. Next: octis-m3l topics {out}/model"
    )


def train(
    data: options.Data,
    out: options.Out,
    model: options.Model = "m3l-contrast",
    topics: options.Topics = None,
    set_: options.Set = None,
    views: options.Views = None,
    embeddings: options.Embeddings = None,
    top_words: options.TopWords = 10,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder to resume from; default: OUT.checkpoint")
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Train a model; interrupted with Ctrl-C or killed, the same command continues."""
    from octis_m3l.models.storage import MARKER
    from octis_m3l.reports import topics_table

    dataset, kind = options.read_data(data, embeddings, views), MODELS[model]
    own = options.settings(set_, num_topics=topics, threads=threads)
    own = {"seed": seed, "device": device, **own}
    recover(out, MARKER)
    stored = read_json(out / MARKER) if (out / MARKER).is_file() else {}
    state = checkpoint or out.parent / f"{out.name}.checkpoint"
    before = stored.get("history")
    interrupted = isinstance(before, dict) and before.get("stopped") == "interrupted"
    continues = interrupted and state.is_dir() and _is_same_run(stored, model, own)
    if interrupted and not (overwrite or continues):
        raise StorageError(
            f"{out} holds a training that was interrupted, with other settings or another model: "
            "repeat its command to continue, pass --overwrite to discard it, or choose another "
            "folder."
        )
    check_used(kind, [own["device"]])
    check_can_write(out, overwrite=overwrite or continues, marker=MARKER)
    if "device" not in kind.settings_class.model_fields:
        del own["device"]
    new = partial(kind, checkpoint=state, progress=shows_progress(as_json), **own)
    trained = new()
    with held(out):
        try:
            try:
                trained.train_model(dataset, top_words=top_words)
            except OtherRunError:
                if checkpoint is not None or not overwrite:
                    raise
                shutil.rmtree(state)
                trained = new()
                trained.train_model(dataset, top_words=top_words)
        except KeyboardInterrupt:
            if trained.output is None or not trained.history.epochs:
                raise
        trained.data_path = str(data.resolve())
        trained.save(out, overwrite=overwrite or continues)
        history = trained.history
        if history.stopped != "interrupted" and checkpoint is None:
            shutil.rmtree(state, ignore_errors=True)
    if as_json:
        print_json({"model": str(out), "choices": trained.choices, "history": vars(history)})
    else:
        epochs = "epochs" in type(trained.trained_settings).model_fields
        for what, chosen in trained.choices.items() if not trained.progress else ():
            screen.say(f"{what}: {chosen}")
        counted = f"after {len(history.epochs)} epochs " if epochs else ""
        seconds = f"({history.seconds:.0f} s)"
        ended = "stopped early" if history.stopped == "early" else history.stopped
        best = len(history.epochs) if history.best_epoch is None else history.best_epoch + 1
        kept = f", with the weights of epoch {best}" if best < len(history.epochs) else ""
        screen.print(f"{model} {ended} {counted}{seconds}; saved in {out}{kept}")
        if history.stopped == "interrupted":
            screen.print("The same command continues where this one stopped.")
        screen.print(topics_table(trained, 7))
    if history.stopped == "interrupted":
        raise typer.Exit(130)


def _is_same_run(stored: Mapping[str, Any], name: str, settings: Mapping[str, Any]) -> bool:
    """Return whether a saved model is of this name and these settings."""
    before = stored.get("settings")
    return (
        stored.get("model") == name
        and isinstance(before, dict)
        and all(before.get(n) == v for n, v in settings.items() if n not in ("device", "threads"))
    )
