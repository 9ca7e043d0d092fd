"""Adding embeddings to a data set that is already in a folder."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.folder.arrays import store_embeddings
from octis_m3l.data.folder.manifest import MANIFEST, check_embedding_name, check_json, read_manifest
from octis_m3l.data.folder.reading import read_view
from octis_m3l.errors import DataError, suggest
from octis_m3l.files import (
    described_files,
    held,
    read_json,
    remove_unfinished,
    write_errors,
    write_json,
)


def write_embeddings(
    folder: Path,
    view: str,
    embeddings: NDArray[Any],
    name: str,
    description: Mapping[str, Any],
    *,
    encoder: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> None:
    """Add embeddings of one view to a data set on disk, or replace those of the same name.

    Parameters
    ----------
    folder : Path
        A folder that `write_folder` wrote.
    view : str
        The view.
    embeddings : array (items × dimensions)
        One row for each item, in stored order.
    name : str
        What they are called, a file name: letters, digits, ``.``, ``_`` and ``-``.
    description : mapping
        The encoder's model, revision, pooling and so on, as JSON can hold it.
    encoder : mapping, optional
        As `View.embedding_encoder`.
    replace : bool
        Whether the view's other embeddings are taken away that an encoder made; a user's own stay.

    Raises
    ------
    DataError
        If the view is unknown, or the name, rows, values or description are not as said here.
    StorageError
        If the folder is missing, of another kind, or copied only in part.
    """
    check_embedding_name(name)
    check_json(description, f"the description of the embeddings '{name}'")
    check_json(encoder or {}, f"the encoder of the embeddings '{name}'")
    read_manifest(folder)
    # Several processes may encode views of one data set.
    with held(folder / "embeddings", wait=True), write_errors(folder):
        _write(folder, view, np.asarray(embeddings), name, description, encoder, replace)


def _write(
    folder: Path,
    view: str,
    embeddings: NDArray[Any],
    name: str,
    description: Mapping[str, Any],
    encoder: Mapping[str, Any] | None,
    replace: bool,
) -> None:
    manifest = read_manifest(folder)
    entries = {entry.name: entry for entry in manifest.views}
    if view not in entries:
        raise DataError(f"unknown view '{view}'.{suggest(view, entries)}")
    read = read_view(folder, manifest, entries[view], embeddings, name, encoder)
    place = folder / view / "embeddings"
    place.mkdir(exist_ok=True)
    remove_unfinished(place)
    others = [
        other
        for other in manifest.embedding_names(view)
        if replace and other != name and _is_of_an_encoder(place / other)
    ]
    gone = [f"{view}/embeddings/{other}{end}" for other in others for end in (".npy", ".json")]
    content = read_json(folder / MANIFEST)
    with TemporaryDirectory(prefix=".embeddings-", suffix=".part", dir=place) as staged:
        store_embeddings(Path(staged), read, embeddings, description)
        stored = described_files(Path(staged))
        # The manifest never says of a file what is not true of it.
        for path in stored["files"]:
            content["files"].pop(path, None)
        write_json(folder / MANIFEST, content, checked=True)
        for path in stored["files"]:
            (Path(staged) / path).replace(folder / path)
    for part, of_files in stored.items():
        known = {**content.get(part, {}), **of_files}
        content[part] = {path: value for path, value in known.items() if path not in gone}
    write_json(folder / MANIFEST, content, checked=True)
    for path in gone:
        (folder / path).unlink(missing_ok=True)


def _is_of_an_encoder(place: Path) -> bool:
    return bool(read_json(place.with_name(f"{place.name}.json")).get("encoder"))
