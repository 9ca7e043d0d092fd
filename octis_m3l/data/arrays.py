"""Arrays that a user gives, or the files of them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.errors import DataError


def read_array(given: NDArray[Any] | str | Path, name: str) -> NDArray[Any]:
    """Return an array, memory-mapped from a ``.npy`` file when a path is given.

    Parameters
    ----------
    given : array, str or Path
        The array or its file.
    name : str
        The view, for the message.

    Raises
    ------
    DataError
        If the file is missing or is no whole ``.npy`` file.
    """
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
