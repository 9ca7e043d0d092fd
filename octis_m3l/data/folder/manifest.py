"""The manifest of a folder: its views and dictionaries, with size and hash of every file."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, NonNegativeInt

from octis_m3l.errors import DataError, StorageError
from octis_m3l.files import check_files, damage_errors, read_document, read_json, recover

FORMAT = "octis-m3l dataset"
VERSION = 1
MANIFEST = "metadata.json"
EMBEDDING_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
ViewName = Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]


class ViewEntry(BaseModel):
    """One view in the manifest."""

    name: ViewName
    kind: Literal["text", "image"]
    language: str | None = None
    sizes: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
    inputs: NonNegativeInt | None = None
    labels: bool = False
    pictures: bool = False


class DictionaryEntry(BaseModel):
    """One dictionary in the manifest."""

    views: tuple[ViewName, ViewName]
    file: str = Field(pattern=r"^dictionaries/[a-z0-9_-]+\.tsv$")


class Manifest(BaseModel):
    """The content of ``metadata.json``, without format, version and OCTIS's own metadata."""

    views: list[ViewEntry]
    pivot: str
    links: NonNegativeInt | None
    metadata: dict[str, Any]
    partitions: list[str]
    dictionaries: list[DictionaryEntry]
    files: dict[str, NonNegativeInt]
    sha256: dict[str, str] = {}

    def embedding_names(self, view: str) -> list[str]:
        """Return the names of a view's stored embeddings."""
        path = re.compile(rf"{view}/embeddings/({EMBEDDING_NAME.pattern})\.npy")
        return sorted(found[1] for found in map(path.fullmatch, self.files) if found)


def read_manifest(folder: Path, *, hashes: bool = False) -> Manifest:
    """Return the manifest of a folder, after checking the size of every file."""
    path = folder / MANIFEST
    if not path.is_file():
        recover(folder, MANIFEST)
    if not path.is_file() or read_json(path).get("format") != FORMAT:
        found = f"holds no {MANIFEST} of a data set of octis-m3l"
        if not folder.is_dir():
            found = "is a file; build a data set from it" if folder.exists() else "is missing"
        raise StorageError(
            f"{folder} {found}: give the folder that dataset.save or octis-m3l build "
            f"wrote{_instead(folder)}."
        )
    content = read_document(path, FORMAT, VERSION)
    with damage_errors(path):
        manifest = Manifest.model_validate(content)
    check_files(folder, content, hashes=hashes)
    return manifest


def _instead(folder: Path) -> str:
    """Return what else the folder may be, or where the data set may be."""
    above = folder.resolve().parent
    try:
        is_dataset = read_json(above / MANIFEST).get("format") == FORMAT
    except (StorageError, OSError):
        is_dataset = False
    if is_dataset:
        return f", perhaps {above}, of which this folder is one view"
    if (folder / "corpus.tsv").is_file():
        return f", which a data set of OCTIS becomes by octis-m3l build {folder} --out FOLDER"
    return ""


def check_json(content: Mapping[str, Any], what: str) -> None:
    """Refuse what can't be written as JSON."""
    try:
        json.dumps(dict(content), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what} can't be written as JSON ({error}); use texts, finite numbers, lists and "
            "dictionaries."
        ) from None


def check_embedding_name(name: str) -> None:
    """Refuse a name of embeddings that is no file name."""
    if not EMBEDDING_NAME.fullmatch(name):
        possible = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".")[:100] or "mine"
        raise DataError(
            f"embeddings named '{name}': expected a file name of letters, digits, '.', '_' and "
            f"'-', at most 100 and not beginning with '.'; '{possible}' would do."
        )
