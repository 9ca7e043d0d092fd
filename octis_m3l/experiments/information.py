"""What a folder holds, and what is installed."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from octis_m3l.data.describe import describe_parts
from octis_m3l.data.folder.reading import read_parts
from octis_m3l.errors import SettingsError, StorageError
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
)


def describe(folder: Path | None, *, verify: bool = False) -> dict[str, Any]:
    """Describe a data set, a model, or this installation."""
    if folder is None:
        if verify:
            raise SettingsError("--verify: name the folder whose files are to be verified.")
        return _installation()
    for marker in ("model.json", "metadata.json"):
        if not (folder / marker).is_file():
            recover(folder, marker)
        elif verify:
            compared = check_files(folder, read_json(folder / marker), thoroughly=True)
            return {**describe(folder), "verified": compared}
    if (folder / "model.json").is_file():
        described = read_json(folder / "model.json")
        history = described.get("history")
        if not isinstance(history, dict) or not isinstance(history.get("epochs"), list):
            raise StorageError(f"{folder / 'model.json'} is damaged: it has no 'history'.")
        return {
            key: described.get(key)
            for key in ("model", "settings", "network", "pivot", "seed", "written_by", "data")
        } | {"epochs": len(history["epochs"])}
    if (folder / "metadata.json").is_file():
        return describe_parts(**read_parts(folder))
    raise StorageError(f"{folder} holds neither a data set nor a model.")


def describe_model(name: str) -> dict[str, Any]:
    """Return what a model is, and its hyperparameters with defaults and ranges."""
    found = MODELS.registered[name]
    return {
        "class": found.attribute,
        "summary": found.summary,
        "hyperparameters": MODELS[name].settings_class.described(),
    }


def _installation() -> dict[str, Any]:
    import torch

    versions: dict[str, Any] = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"python": platform.python_version(), "versions": versions, "gpus": devices}
