"""Arrays that users give, or that files hold."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from octis_m3l.errors import DataError, StorageError

_HASHED_AT_ONCE = 4096


def read_array(given: NDArray[Any] | str | Path, name: str) -> NDArray[Any]:
    """Return an array, memory-mapped from a ``.npy`` file when a path is given."""
    if not isinstance(given, str | Path):
        return np.asarray(given)
    try:
        array = np.load(given, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it holds several arrays")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"view '{name}': {given} can't be read as a .npy array ({error}); write it with "
            "numpy.save."
        ) from None
    return array


def read_weights(file: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a safetensors file, if all their numbers are finite."""
    weights: dict[str, NDArray[Any]] = load_file(file)
    for name, array in weights.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise StorageError(
                f"{file} holds NaN or infinity ('{name}'): the training diverged, or the file is "
                "damaged; copy the folder again, or train the model again with a lower "
                "learning_rate."
            )
    return weights


def hash_of_rows(array: NDArray[Any]) -> str:
    """Return a SHA-256 of an array's shape and values."""
    digest = hashlib.sha256(repr(array.shape).encode())
    for start in range(0, len(array), _HASHED_AT_ONCE):
        piece = array[start : start + _HASHED_AT_ONCE]
        digest.update(np.ascontiguousarray(piece, np.float32).tobytes())
    return digest.hexdigest()
