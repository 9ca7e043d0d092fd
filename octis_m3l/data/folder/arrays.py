"""Embeddings and word vectors, each with a record of the items that it was made for."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.views import View
from octis_m3l.errors import StorageError
from octis_m3l.files import read_json, write_json, written_whole


def store_embeddings(
    folder: Path, view: View, embeddings: NDArray[Any], description: Mapping[str, Any]
) -> None:
    """Write a view's embeddings with their record."""
    record = {
        "name": view.embedding_name,
        **_array_record(embeddings, view.fingerprint()),
        "description": dict(description),
    }
    if view.embedding_encoder is not None:
        record["encoder"] = dict(view.embedding_encoder)
    write_array(folder / view.name / "embeddings" / view.embedding_name, embeddings, record)


def write_word_vectors(
    place: Path, word_vectors: NDArray[Any], vocabulary: Sequence[str], space: str | None
) -> None:
    """Write the word vectors of a vocabulary with their record."""
    record = _array_record(word_vectors, _vocabulary_fingerprint(vocabulary)) | {"space": space}
    write_array(place, word_vectors, record)


def read_word_vectors(
    place: Path, vocabulary: tuple[str, ...]
) -> tuple[NDArray[np.float32], str | None]:
    """Return the word vectors of a vocabulary, and what their space is called."""
    values, fingerprint = read_array(place, len(vocabulary))
    space = read_json(place.with_name(f"{place.name}.json")).get("space")
    if fingerprint != _vocabulary_fingerprint(vocabulary):
        raise StorageError(
            f"{place}.npy follows another vocabulary than {place.parent / 'vocabulary.txt'}: it "
            "changed since; make the word vectors again."
        )
    return values, None if space is None else str(space)


def _vocabulary_fingerprint(vocabulary: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(vocabulary).encode()).hexdigest()


def _array_record(values: NDArray[Any], fingerprint: str) -> dict[str, Any]:
    rows, dimensions = values.shape
    return {"dimensions": dimensions, "rows": rows, "fingerprint": fingerprint}


def write_array(place: Path, values: NDArray[Any], record: Mapping[str, Any]) -> None:
    """Write an array as float32, and its record beside it."""
    with written_whole(place.with_name(f"{place.name}.npy")) as temporary:
        np.save(temporary, np.ascontiguousarray(values, np.float32), allow_pickle=False)
    write_json(place.with_name(f"{place.name}.json"), record)


def read_array(place: Path, rows: int) -> tuple[NDArray[np.float32], str]:
    """Return an array and its record's fingerprint of the items it was made for."""
    path = place.with_name(f"{place.name}.npy")
    record = read_json(place.with_name(f"{place.name}.json"))
    try:
        values: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StorageError(f"{path} is no whole .npy file ({error}); write it again.") from None
    expected = (rows, record.get("dimensions"))
    if values.shape != expected:
        raise StorageError(
            f"{path} holds an array of shape {values.shape}, expected {expected}: it belongs to "
            "other items; write it again."
        )
    return values, str(record.get("fingerprint"))
