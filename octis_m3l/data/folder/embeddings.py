"""Adding embeddings to a data set that is already in a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from octis_m3l.data.folder.arrays import store_embeddings
from octis_m3l.data.folder.manifest import MANIFEST, check_embedding_name, check_json, read_manifest
from octis_m3l.data.folder.reading import read_view
from octis_m3l.errors import DataError, suggest
from octis_m3l.files import read_json, write_json


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
    with FileLock(folder / ".embeddings.lock"):
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
    place = f"{view}/embeddings/{name}"
    others = [
        other
        for other in manifest.embedding_names(view)
        if replace and other != name and _is_of_an_encoder(folder / view / "embeddings" / other)
    ]
    content = read_json(folder / MANIFEST)
    for ending in (".npy", ".json"):
        content["files"].pop(place + ending, None)
    write_json(folder / MANIFEST, content)
    store_embeddings(folder, read, embeddings, description)
    for ending in (".npy", ".json"):
        content["files"][place + ending] = (folder / (place + ending)).stat().st_size
    gone = [
        f"{view}/embeddings/{other}{ending}" for other in others for ending in (".npy", ".json")
    ]
    for path in gone:
        content["files"].pop(path, None)
    write_json(folder / MANIFEST, content)
    for path in gone:
        (folder / path).unlink(missing_ok=True)


def _is_of_an_encoder(place: Path) -> bool:
    return bool(read_json(place.with_name(f"{place.name}.json")).get("encoder"))
