"""Models saved as safetensors and JSON, in one folder written whole."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors

from octis_m3l.data.views import VIEW_NAME
from octis_m3l.errors import OctisM3LError, StorageError
from octis_m3l.files import (
    check_files,
    described_files,
    folder_written_whole,
    read_json,
    recover,
    write_json,
)
from octis_m3l.models.output import ModelOutput
from octis_m3l.training import History

if TYPE_CHECKING:
    from octis_m3l.models.base import TopicModel

Network = TypeVar("Network", bound=torch.nn.Module)

FORMAT, VERSION, MARKER = "octis-m3l model", 1, "model.json"


def save_model(model: "TopicModel", folder: Path, *, overwrite: bool) -> None:
    """Write a trained model: what all models have, and the model's own parts."""
    output = model._trained()
    assert model.trained_settings is not None and model.history is not None
    with folder_written_whole(folder, overwrite=overwrite, marker=MARKER) as temporary:
        own = model._save_parts(temporary)
        matrices = {
            key: np.ascontiguousarray(value)
            for key, value in output.items()
            if "/" in key and not key.startswith("topic-word-matrix")
        }
        save_file(matrices, temporary / "output.safetensors")
        write_json(
            temporary / MARKER,
            {
                "format": FORMAT,
                "version": VERSION,
                "written_by": version("octis-m3l"),
                "model": model.name,
                "settings": model.trained_settings.model_dump(),
                "given": model.trained_settings.model_dump(include=set(model.trained_given)),
                "pivot": output.pivot,
                "seed": output.seed,
                "top_words": output.top_words,
                "use_partitions": model.use_partitions,
                "vocabularies": {name: list(v) for name, v in output.vocabularies.items()},
                "history": vars(model.history),
                "data": model.data_path,
                "data_fingerprints": model.data_fingerprints,
                **own,
                **described_files(temporary),
            },
            checked=True,
        )


def load_model(folder: Path | str, *, device: str = "cpu", **given_again: Any) -> "TopicModel":
    """Read a model of any kind.

    Parameters
    ----------
    folder : Path or str
        Where `save` wrote it.
    device : str
        Where it goes, whatever device it was trained on.
    **given_again
        What is not saved, as for the model's own ``load``: ``tokenizers``, ``encoders``.

    Raises
    ------
    StorageError
        If the folder is missing, incomplete, or holds something else.
    SettingsError
        If what is given again does not fit.
    """
    from octis_m3l.models import MODELS

    folder = Path(folder)
    if not (folder / MARKER).is_file():
        recover(folder, MARKER)
    if not (folder / MARKER).is_file():
        what = "is no folder" if not folder.is_dir() else f"holds no {MARKER}"
        raise StorageError(f"{folder} {what}: expected a folder that a model was saved to.")
    described = read_json(folder / MARKER)
    if described.get("format") != FORMAT or described.get("model") not in MODELS:
        raise StorageError(
            f"{folder / MARKER} describes no model that is known here (format "
            f"'{described.get('format')}', model '{described.get('model')}'); known are "
            f"{', '.join(MODELS)}."
        )
    try:
        if described["version"] > VERSION:
            raise StorageError(
                f"{folder} was written by octis-m3l {described['written_by']}, in a newer format; "
                "upgrade this installation: pip install --upgrade octis-m3l."
            )
        check_files(folder, described)
        for name in described["vocabularies"]:
            check_view_name(folder, name)
        model = _restored(MODELS[described["model"]], folder, described, device)
    except OctisM3LError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"{folder / MARKER} lacks or misstates {error}; it was changed by hand or is damaged."
        ) from error
    model._give_again(**given_again)
    return model


def load_network(folder: Path, network: Callable[[], Network]) -> Network:
    """Return a network with a saved model's weights."""
    weights = load_tensors(folder / "weights.safetensors")
    with torch.device("meta"):
        network().load_state_dict(weights, assign=True)
    built = network()
    built.load_state_dict(weights)
    return built


def check_view_name(folder: Path, name: str) -> None:
    """Refuse a saved model that names a view as none can be named."""
    if not VIEW_NAME.fullmatch(name):
        raise StorageError(f"{folder / MARKER} names a view '{name}', which none can be.")


def _restored(
    kind: "type[TopicModel]", folder: Path, described: Mapping[str, Any], device: str
) -> "TopicModel":
    model = kind(**described["given"])
    model.trained_settings = model._settings(described["settings"])
    model.use_partitions = described["use_partitions"]
    model.trained_given = tuple(described["given"])
    model.data_fingerprints = described["data_fingerprints"]
    model.run_seed, model.data_path = described["seed"], described["data"]
    model.history = History(**described["history"])
    try:
        for file in sorted(folder.rglob("*.safetensors")):
            if file.name != "output.safetensors":
                _check_finite(file)
        words = model._load_parts(folder, described, device)
        arrays = load_file(folder / "output.safetensors")
    except (SafetensorError, OSError, RuntimeError, MemoryError) as error:
        if isinstance(error, OctisM3LError):
            raise
        raise StorageError(
            f"the weights in {folder} do not fit the model ({str(error).splitlines()[0]}); copy "
            "the folder again."
        ) from None
    vocabularies = {n: tuple(words) for n, words in described["vocabularies"].items()}
    model.output = ModelOutput.restored(
        described["pivot"], words, arrays, vocabularies, described["top_words"], described["seed"]
    )
    return model


def _check_finite(file: Path) -> None:
    for name, array in load_file(file).items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise StorageError(
                f"{file} holds NaN or infinity ('{name}'): the training diverged, or the file is "
                "damaged; copy the folder again, or train the model again with a lower "
                "learning_rate."
            )
