"""Marks: the partition of each item, 0 (train), 1 (validation), 2 (test) or −1 (in none)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.links import MISSING
from octis_m3l.data.views import View
from octis_m3l.errors import DataError, SettingsError


def check_marks(name: str, marks: Mapping[str, NDArray[np.int8]], views: Iterable[View]) -> None:
    """Check that a named partition has a mark for each item of each view."""
    for view in views:
        mark = np.asarray(marks.get(view.name, []))
        if mark.shape != (len(view),) or not np.isin(mark, (MISSING, 0, 1, 2)).all():
            raise DataError(
                f"partition '{name}': expected for each of the {len(view)} items of view "
                f"'{view.name}' 0 (train), 1 (validation), 2 (test) or -1 (in none of them)."
            )


@dataclass(frozen=True, eq=False)
class Arrangement:
    """How items are sorted by partition, those in none left out."""

    order: NDArray[np.int64]
    sizes: tuple[int, int, int]
    places: NDArray[np.int64]


def arrange(mark: NDArray[np.integer[Any]]) -> Arrangement:
    """Sort items by partition; within one they keep their order."""
    order = np.argsort(mark, kind="stable")
    order = order[mark[order] >= 0]
    train, validation, test = (int((mark == p).sum()) for p in range(3))
    places = np.full(len(mark) + 1, MISSING, np.int64)
    places[order] = np.arange(len(order))
    return Arrangement(order, (train, validation, test), places)


def are_shares(train: float, validation: float) -> bool:
    """Return whether two numbers can be the shares of the training and validation partitions."""
    return 0 < train <= 1 and 0 <= validation <= 1 and train + validation <= 1 + 1e-9


def drawn_order(count: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers below `count` in random order."""
    if seed < 0:
        raise SettingsError(f"seed={seed}: expected a whole number, 0 or more.")
    return np.random.default_rng(seed).permutation(count)


def drawn_marks(count: int, train: float, validation: float, seed: int) -> NDArray[np.int8]:
    """Draw marks at random."""
    place = drawn_order(count, seed)
    cuts = np.rint(np.array([train, train + validation]) * count)
    return np.searchsorted(cuts, place, side="right").astype(np.int8)
