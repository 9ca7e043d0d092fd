"""The folder of a saved model: safetensors and JSON, written whole, and checked when it is read."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from octis_m3l.data.arrays import read_weights
from octis_m3l.data.views import VIEW_NAME
from octis_m3l.errors import StorageError
from octis_m3l.files import (
    check_files,
    damage_errors,
    described_files,
    read_document,
    recover,
    write_json,
)
from octis_m3l.models.output import ModelOutput

FORMAT, VERSION, MARKER = "octis-m3l model", 1, "model.json"
_OUTPUT = "output.safetensors"


def write_model(folder: Path, output: ModelOutput, described: Mapping[str, Any]) -> None:
    """Write a model's output, and its description with a hash of every file in the folder."""
    matrices = {
        key: np.ascontiguousarray(value)
        for key, value in output.items()
        if "/" in key and not key.startswith("topic-word-matrix")
    }
    save_file(matrices, folder / _OUTPUT)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": version("octis-m3l"),
        "pivot": output.pivot,
        "seed": output.seed,
        "top_words": output.top_words,
        "vocabularies": {name: list(words) for name, words in output.vocabularies.items()},
        **described,
        **described_files(folder),
    }
    write_json(folder / MARKER, content, checked=True)


def read_description(folder: Path) -> dict[str, Any]:
    """Return what a saved model's JSON says, if the folder is whole and of a known format."""
    if not (folder / MARKER).is_file():
        recover(folder, MARKER)
    if not (folder / MARKER).is_file():
        what = "is no folder" if not folder.is_dir() else f"holds no {MARKER}"
        raise StorageError(f"{folder} {what}: expected a folder that a model was saved to.")
    described = read_document(folder / MARKER, FORMAT, VERSION)
    with damage_errors(folder / MARKER):
        check_files(folder, described)
        for name in described["vocabularies"]:
            check_view_name(folder, name)
    return described


def read_output(
    folder: Path, described: Mapping[str, Any], topic_words: Mapping[str, NDArray[Any]]
) -> ModelOutput:
    """Return the output that was saved with a model."""
    vocabularies = {name: tuple(words) for name, words in described["vocabularies"].items()}
    numbers = described["top_words"], described["seed"]
    output = ModelOutput(described["pivot"], topic_words, {}, vocabularies, *numbers)
    return output.filled(read_weights(folder / _OUTPUT))


def check_view_name(folder: Path, name: str) -> None:
    """Refuse a saved model with an invalid view name: it becomes part of a path."""
    if not VIEW_NAME.fullmatch(name):
        raise StorageError(f"{folder / MARKER} has an invalid view name, '{name}'.")
