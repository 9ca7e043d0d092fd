"""Partitions that are drawn once and for all, so that everybody has the same."""

import math
import random
from collections.abc import Sequence
from typing import TypeVar

_Item = TypeVar("_Item")


def shuffled(items: Sequence[_Item], seed: int) -> list[_Item]:
    """Return items in an order that depends on the seed and their number alone."""
    drawn = list(items)
    random.Random(seed).shuffle(drawn)
    return drawn


def drawn_partition(
    items: Sequence[_Item], seed: int, *, test: float, validation: float
) -> dict[_Item, str]:
    """Return each item's partition: the first ones of a random order are test, then validation."""
    first, second = math.ceil(test * len(items)), math.ceil((test + validation) * len(items))
    return {
        item: "test" if number < first else "validation" if number < second else "train"
        for number, item in enumerate(shuffled(items, seed))
    }
