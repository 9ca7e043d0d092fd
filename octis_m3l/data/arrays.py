"""Arrays that users give, or that files hold."""

import hashlib
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy.sparse import csr_array

from octis_m3l.errors import DataError, StorageError

_HASHED_AT_ONCE = 4096


def read_array(given: NDArray[Any] | str | Path, name: str) -> NDArray[Any]:
    """Return an array, memory-mapped from a ``.npy`` file when a path is given."""
    if not isinstance(given, str | Path):
        return np.asarray(given)
    try:
        values = np.load(given, mmap_mode="r", allow_pickle=False)
        if not isinstance(values, np.ndarray):
            raise ValueError("it holds several arrays")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"view '{name}': {given} can't be read as a .npy array ({error}); write it with "
            "numpy.save."
        ) from None
    return values


def read_weights(file: Path) -> dict[str, Any]:
    """Return the arrays of a safetensors file, if all their numbers are finite."""
    weights: dict[str, NDArray[Any]] = load_file(file)
    for name, values in weights.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise StorageError(
                f"{file} holds NaN or infinity ('{name}'): the training diverged, or the file is "
                "damaged; copy the folder again, or train the model again with a lower "
                "learning_rate."
            )
    return weights


def hash_of(parts: Iterable[str | NDArray[Any]]) -> str:
    """Return a SHA-256 of texts and of the values of arrays of numbers, one after another."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode(errors="surrogatepass"))
        else:
            digest.update(part.ravel().data)
    return digest.hexdigest()


def hash_of_rows(array: NDArray[Any]) -> str:
    """Return a SHA-256 of an array's shape and values."""
    digest = hashlib.sha256(repr(array.shape).encode())
    for start in range(0, len(array), _HASHED_AT_ONCE):
        piece = array[start : start + _HASHED_AT_ONCE]
        digest.update(np.ascontiguousarray(piece, np.float32).tobytes())
    return digest.hexdigest()


def ragged(documents: Iterable[Iterable[int]]) -> dict[str, Any]:
    """Return the word indices of documents as the fields of a text view, and where they end."""
    token_ids, ends = array("i"), [0]
    for document in documents:
        token_ids.extend(document)
        ends.append(len(token_ids))
    return {"token_ids": np.array(token_ids, np.int32), "offsets": np.array(ends, np.int64)}


def ragged_counts(counts: "csr_array[Any]", view: str) -> dict[str, Any]:
    """Return bags of words (documents × words) in the same form, in the order of the vocabulary."""
    repeats = counts.data.astype(np.int64)
    if (repeats != counts.data).any() or (repeats < 0).any():
        raise DataError(f"view '{view}': word counts must be whole numbers, 0 or more.")
    ends = np.concatenate([[0], np.cumsum(repeats)])
    token_ids = np.repeat(counts.indices, repeats).astype(np.int32)
    return {"token_ids": token_ids, "offsets": ends[counts.indptr].astype(np.int64)}
