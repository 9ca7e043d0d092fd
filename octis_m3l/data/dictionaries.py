"""Dictionaries: pairs of words of two views, by their index in the vocabularies."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.arrays import read_array
from octis_m3l.data.views import TextView
from octis_m3l.data.word_files import read_pairs
from octis_m3l.errors import DataError


def word_pairs(
    first: TextView,
    second: TextView,
    pairs: Iterable[Any] | Mapping[Any, Any] | NDArray[Any] | str | Path,
) -> NDArray[np.int64]:
    """Return translations as pairs of indices; those outside a vocabulary are left out."""
    if isinstance(pairs, str | Path):
        path = Path(pairs)
        pairs = read_array(path, first.name) if path.suffix == ".npy" else read_pairs(path)
    if isinstance(pairs, np.ndarray) and pairs.dtype.kind in "iuf":
        if (pairs != np.rint(pairs)).any():
            raise DataError(f"dictionary {first.name}-{second.name}: indices are whole numbers.")
        check_dictionary(first, second, pairs)
        return np.unique(pairs.astype(np.int64), axis=0)
    listed = list(pairs.items() if isinstance(pairs, Mapping) else pairs)
    if listed and all(isinstance(e, tuple | list) and _whole(e) for e in listed):
        return word_pairs(first, second, np.array(listed, np.int64))
    for entry in listed:
        said = list(entry) if isinstance(entry, Sequence | np.ndarray) else []
        if isinstance(entry, str) or len(said) != 2 or not all(isinstance(w, str) for w in said):
            raise DataError(
                f"dictionary {first.name}-{second.name}: {entry!r} is no pair of words; expected "
                f"for each translation a word of '{first.name}' and one of '{second.name}'."
            )
    known = [
        {word: number for number, word in enumerate(view.vocabulary)} for view in (first, second)
    ]
    rows = [(known[0][a], known[1][b]) for a, b in listed if a in known[0] and b in known[1]]
    if not rows:
        raise DataError(
            f"dictionary {first.name}-{second.name}: none of its {len(listed)} pairs has both "
            "words in the vocabularies; check the order of the languages and upper and lower case."
        )
    return np.unique(np.array(rows, np.int64), axis=0)


def _whole(entry: Sequence[Any]) -> bool:
    numbers = [isinstance(n, int | np.integer) and not isinstance(n, bool) for n in entry]
    return len(numbers) == 2 and all(numbers)


def check_dictionary(first: TextView, second: TextView, pairs: NDArray[np.int64]) -> None:
    """Check that a dictionary points at words that exist."""
    if first.name == second.name:
        raise DataError(f"a dictionary ties two views; given '{first.name}' twice.")
    if not len(pairs):
        raise DataError(f"dictionary {first.name}-{second.name}: it holds no pair of words.")
    words = [len(first.vocabulary), len(second.vocabulary)]
    if pairs.ndim != 2 or pairs.shape[1] != 2 or ((pairs < 0) | (pairs >= words)).any():
        raise DataError(
            f"dictionary {first.name}-{second.name}: expected pairs of word indices below "
            f"{words[0]} and {words[1]}, given an array of shape {pairs.shape} with values from "
            f"{pairs.min(initial=0)} to {pairs.max(initial=0)}."
        )
