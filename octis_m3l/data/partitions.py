"""The partition of each item or record: 0 (train), 1 (validation), 2 (test) or −1 (in none)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.views import View
from octis_m3l.errors import DataError, SettingsError

NO_PARTITION = -1
_NUMBERS = {"train": 0, "training": 0, "validation": 1, "val": 1, "valid": 1, "dev": 1, "test": 2}


def check_numbers(
    name: str, numbers: Mapping[str, NDArray[np.int8]], views: Iterable[View]
) -> None:
    """Check that a named partition has a number for each item of each view."""
    for view in views:
        of_view = np.asarray(numbers.get(view.name, []))
        if of_view.shape != (len(view),) or not np.isin(of_view, (NO_PARTITION, 0, 1, 2)).all():
            raise DataError(
                f"partition '{name}': expected for each of the {len(view)} items of view "
                f"'{view.name}' 0 (train), 1 (validation), 2 (test) or -1 (in none of them)."
            )


def numbers_of_names(names: Iterable[Any], what: str) -> NDArray[np.int8]:
    """Return the numbers of partitions that a user named."""
    given = [str(name) for name in names]
    unknown = [name for name in given if name.lower() not in _NUMBERS]
    if unknown:
        raise DataError(
            f"'{what}' has {len(unknown)} unknown entries, the first is '{unknown[0]}'; expected "
            "train, validation (or val) and test."
        )
    return np.array([_NUMBERS[name.lower()] for name in given], np.int8)


@dataclass(frozen=True, eq=False)
class Arrangement:
    """The order of items sorted by partition, without those in none, and their new positions."""

    order: NDArray[np.int64]
    sizes: tuple[int, int, int]
    positions: NDArray[np.int64]


def arrange(numbers: NDArray[np.integer[Any]]) -> Arrangement:
    """Sort items by partition, stably; the last of the positions is that of a missing item."""
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] >= 0]
    train, validation, test = (int((numbers == p).sum()) for p in range(3))
    positions = np.full(len(numbers) + 1, -1, np.int64)
    positions[order] = np.arange(len(order))
    return Arrangement(order, (train, validation, test), positions)


def drawn_order(count: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers below `count` in random order."""
    if seed < 0:
        raise SettingsError(f"seed={seed}: expected a whole number, 0 or more.")
    return np.random.default_rng(seed).permutation(count)


def drawn_numbers(count: int, train: float, validation: float, seed: int) -> NDArray[np.int8]:
    """Draw the partitions of `count` items at random, in these shares; the rest is for testing."""
    if not (0 < train <= 1 and 0 <= validation <= 1 and train + validation <= 1 + 1e-9):
        raise DataError(
            f"shares train={train}, validation={validation}: expected train above 0 and both "
            "together at most 1."
        )
    order = drawn_order(count, seed)
    cuts = np.rint(np.array([train, train + validation]) * count)
    return np.searchsorted(cuts, order, side="right").astype(np.int8)
