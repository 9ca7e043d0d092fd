"""What a folder holds, and what is installed."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from octis_m3l.data.describe import describe_parts
from octis_m3l.data.folder.reading import read_parts
from octis_m3l.errors import StorageError
from octis_m3l.files import read_json
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


def describe(folder: Path | None) -> dict[str, Any]:
    """Describe a data set, a model, or this installation.

    Parameters
    ----------
    folder : Path, optional
        A folder that a data set or a model was saved to. None: the installation.

    Raises
    ------
    StorageError
        If the folder holds neither.
    """
    if folder is None:
        return _installation()
    if (folder / "model.json").is_file():
        described = read_json(folder / "model.json")
        return {
            key: described.get(key)
            for key in ("model", "settings", "network", "pivot", "seed", "written_by", "data")
        } | {"epochs": len(described["history"]["epochs"])}
    if (folder / "metadata.json").is_file():
        return describe_parts(**read_parts(folder))
    raise StorageError(f"{folder} holds neither a data set nor a model.")


def describe_model(name: str) -> dict[str, Any]:
    """Return what a model is, and its hyperparameters with defaults and ranges.

    Parameters
    ----------
    name : str
        One of `MODELS`.
    """
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
