"""Arrays that users give, or files of them."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.errors import DataError

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


def hash_of_rows(array: NDArray[Any]) -> str:
    """Return a SHA-256 of an array's shape and values."""
    digest = hashlib.sha256(repr(array.shape).encode())
    for start in range(0, len(array), _HASHED_AT_ONCE):
        piece = array[start : start + _HASHED_AT_ONCE]
        digest.update(np.ascontiguousarray(piece, np.float32).tobytes())
    return digest.hexdigest()
