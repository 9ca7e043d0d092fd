"""Columns: the cells of one view, and the items that they hold."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.item_checks import is_missing
from octis_m3l.data.records.pictures import as_picture


@dataclass(frozen=True, eq=False)
class Column:
    """The items of one view, and which of them each record holds."""

    items: list[Any]
    cells: list[list[int]]
    sources: list[int]
    inputs: int


def read_column(
    name: str,
    given: Sequence[Any],
    *,
    are_images: bool,
    members: NDArray[np.int64] | None,
) -> Column:
    """Return the items of a view's cells; the same picture is one item, wherever it occurs."""
    items: list[Any] = []
    sources: list[int] = []
    cells: list[list[int]] = [[] for _ in given]
    seen: dict[Hashable, int] = {}
    listed = any(isinstance(cell, list | tuple) for cell in given)
    for record, cell in enumerate(given):
        for item in cell if isinstance(cell, list | tuple) else [cell]:
            if is_missing(item):
                continue
            if are_images:
                item = as_picture(item, name, record)
            key: Hashable | None = None
            if are_images and isinstance(item, Path):
                key = item
            elif members is not None and isinstance(item, Hashable):
                key = (int(members[record]), item)
            number = len(items) if key is None else seen.setdefault(key, len(items))
            if number == len(items):
                items.append(item)
                sources.append(number if listed else record)
            cells[record].append(number)
    return Column(items, cells, sources, len(items) if listed else len(given))
