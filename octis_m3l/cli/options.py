"""Options that several commands have, and how NAME=VALUE arguments are read."""

import json
import warnings
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

import octis_m3l
from octis_m3l.devices import MOST_THREADS, each_device
from octis_m3l.errors import DataError, SettingsError, check_known
from octis_m3l.metrics import METRICS
from octis_m3l.models import MODELS


def _one_of(known: Collection[str], what: str) -> Callable[[str | None], str | None]:
    """Return a check that refuses unknown names and suggests the nearest known one."""

    def checked(name: str | None) -> str | None:
        if name is not None:
            check_known(name, known, what, SettingsError)
        return name

    return checked


known_model = _one_of(MODELS, "model")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Out = Annotated[Path, typer.Option(help="Folder to write; interrupted, repeat the command.")]
Data = Annotated[Path, typer.Argument(help="Folder of a data set; see build.")]
TrainedModel = Annotated[Path, typer.Argument(help="Folder of a model.")]
DataOfModel = Annotated[Path | None, typer.Option(help="Default: the data set trained on.")]

ViewColumns = Annotated[list[str] | None, typer.Option(metavar="VIEW=COLUMN")]
Language = Annotated[
    list[str] | None,
    typer.Option(metavar="VIEW=LANGUAGE", help="If the view's name is not its language."),
]
Label = Annotated[str | None, typer.Option(help="Column of labels.")]
Group = Annotated[str | None, typer.Option(help="Column: rows that form one record.")]
Views = Annotated[str | None, typer.Option(help="Only these views: en,de,pictures")]
Embeddings = Annotated[
    list[str] | None,
    typer.Option(metavar="VIEW=NAME", help="Which to use where a view has several; see info."),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting.")
]

Model = Annotated[str, typer.Option(help=f"{', '.join(MODELS)}.", callback=known_model)]
Metric = Annotated[
    str,
    typer.Option(
        help=f"Maximised, or minimised, as a mean over views: {', '.join(METRICS)}.",
        callback=_one_of(METRICS, "metric"),
    ),
]
Metrics = Annotated[
    list[str] | None, typer.Option(help=f"Default: all that apply of {', '.join(METRICS)}.")
]
Partition = Annotated[str, typer.Option(help="test, validation or train.")]
Corpus = Annotated[
    Path | None, typer.Option(help="Folder of linked documents in which CNPMI counts words.")
]
Topics = Annotated[int | None, typer.Option(min=2, help="K, the number of topics.  [default: 50]")]
TopWords = Annotated[
    int, typer.Option(help="Words by which a topic is scored; at most those of a view.")
]
Picture = Annotated[Path | None, typer.Option(help="File for a picture: .png, .pdf or .svg.")]

Seed = Annotated[int, typer.Option(help="Of every random draw.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
Devices = Annotated[str, typer.Option(help="auto, cpu, cuda, or several: cuda:0,cuda:1")]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_THREADS,
        help="On the processor.  [default: one, and for large batches as many as torch has]",
    ),
]
Processes = Annotated[int, typer.Option(min=1, help="Runs at once.")]
Ray = Annotated[
    str | None, typer.Option(help="Run on a Ray cluster: its address, auto, or local to start one.")
]
Gpus = Annotated[float, typer.Option(min=0, help="Of each run, on Ray.")]


def pairs(given: Iterable[str] | None, option: str, expected: str = "NAME=VALUE") -> dict[str, str]:
    """Return values by name."""
    found: dict[str, str] = {}
    for entry in given or ():
        name, sign, value = entry.partition("=")
        if not sign or not name or not value:
            raise SettingsError(f"{option} {entry}: expected {expected}.")
        if name in found:
            raise SettingsError(f"{option} {entry}: {name} is given twice.")
        found[name] = value
    return found


def settings(given: Iterable[str] | None, **own: Any) -> dict[str, Any]:
    """Return the values of --set, read as JSON where possible, and of options of their own."""
    found: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    for name, text in pairs(given, "--set").items():
        if name in found:
            raise SettingsError(f"--set {name}={text}: {name} is given by its own option too.")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
    return found


def names(given: str | None) -> list[str]:
    """Return names separated by commas."""
    return [name.strip() for name in given.split(",")] if given else []


def read_data(folder: Path, embeddings: list[str] | None, views: str | None) -> Any:
    """Return a data set with the chosen views and embeddings."""
    from octis_m3l.data.folder.manifest import read_manifest

    chosen = pairs(embeddings, "--embeddings")
    wanted = names(views)
    if not wanted:
        return octis_m3l.MultiviewDataset.from_folder(folder, embeddings=chosen or None)
    others = [entry.name for entry in read_manifest(folder).views if entry.name not in wanted]
    chosen = dict.fromkeys(others, "*") | chosen
    dataset = octis_m3l.MultiviewDataset.from_folder(folder, embeddings=chosen)
    return dataset.with_views(wanted)


def model_and_data(model: Path, data: Path | None) -> tuple[Any, Any]:
    """Return a model, and those views of its data set that it inferred."""
    loaded: Any = octis_m3l.load_model(model)
    if loaded.interrupted:
        warnings.warn(
            f"the training of {model} was interrupted, so this model is unfinished; repeat the "
            "train command to finish it.",
            stacklevel=2,
        )
    path = data or loaded.data_path
    if path is None:
        raise DataError("the model does not know where its data set is; pass --data FOLDER.")
    dataset = octis_m3l.MultiviewDataset.from_folder(path, embeddings="*")
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


def workplace(
    processes: int, ray: str | None, gpus: float, device: str, threads: int | None
) -> dict[str, Any]:
    """Return where runs are executed, as arguments of `Optimizer.optimize` and `compare`."""
    if gpus and ray is None:
        raise SettingsError(
            f"gpus={gpus:g}: only Ray assigns GPUs (--ray); without it name them: --device cuda, "
            "or cuda:0,cuda:1."
        )
    devices = each_device(names(device), processes if ray is None else 1)
    where = {
        "processes": processes,
        "threads": threads,
        "device": None if devices == ["auto"] else devices,
    }
    if ray is None:
        return where
    from octis_m3l.search import OnRay

    address = None if ray == "local" else ray
    executor = partial(OnRay, address=address, workers=processes, gpus=gpus, threads=threads)
    return {**where, "executor": executor}
