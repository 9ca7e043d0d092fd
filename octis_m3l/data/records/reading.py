"""Records: what belongs together row by row, checked and read."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from octis_m3l.data.arrays import read_array
from octis_m3l.data.item_checks import as_items
from octis_m3l.data.records.columns import Column, read_column
from octis_m3l.data.records.pictures import Unseen
from octis_m3l.errors import DataError, suggest


@dataclass(frozen=True, eq=False)
class Records:
    """The columns of every view, and which records are one."""

    count: int
    image_names: list[str]
    columns: dict[str, Column]
    members: NDArray[np.int64]

    def connected(self) -> NDArray[np.int64]:
        """Return which records belong together: of one group, or with an item in common."""
        rows = [np.arange(self.count)]
        columns = [self.members.astype(np.int64)]
        start = int(self.members.max(initial=0)) + 1
        for found in self.columns.values():
            counts = [len(cell) for cell in found.cells]
            rows.append(np.repeat(np.arange(self.count), counts))
            columns.append(np.array([i for cell in found.cells for i in cell], np.int64) + start)
            start += len(found.items)
        # Records and items are the two sides of one graph, so that it grows with their links.
        row, column = np.concatenate(rows), np.concatenate(columns) + self.count
        whole = self.count + start
        graph = coo_array((np.ones(len(row), np.int64), (row, column)), (whole, whole))
        _, numbers = connected_components(graph, directed=False)
        _, dense = np.unique(numbers[: self.count], return_inverse=True)
        return np.asarray(dense, np.int64)


def read_records(
    texts: Mapping[str, Sequence[Any]],
    images: Mapping[str, Sequence[Any] | None],
    embeddings: Mapping[str, Any],
    group: Sequence[Hashable] | None,
) -> Records:
    """Return the records of lists; the arguments are those of `from_lists`."""
    given = _given(texts, images, embeddings)
    count = _count(given, group)
    members = _members(group, count)
    image_names = [name for name in given if name not in texts]
    columns = {
        name: read_column(
            name,
            cells,
            are_images=name in image_names,
            members=None if group is None else members,
        )
        for name, cells in given.items()
    }
    return Records(count, image_names, columns, members)


def _given(
    texts: Mapping[str, Sequence[Any]],
    images: Mapping[str, Sequence[Any] | None],
    embeddings: Mapping[str, Any],
) -> dict[str, list[Any]]:
    both = set(texts) & set(images)
    if both:
        raise DataError(f"view '{both.pop()}' is named among the texts and the images.")
    for name in embeddings:
        if name not in texts and name not in images:
            raise DataError(
                f"embeddings are given for '{name}', which is no view."
                f"{suggest(name, [*texts, *images])} Name an image view that has embeddings "
                f"alone: images={{'{name}': None}}."
            )
    given = {name: as_items(column, f"texts of view '{name}'") for name, column in texts.items()}
    for name, column in images.items():
        if column is None and name not in embeddings:
            raise DataError(f"image view '{name}' has neither pictures nor embeddings.")
        if column is None:
            column = [Unseen(row) for row in range(len(read_array(embeddings[name], name)))]
        given[name] = as_items(column, f"images of view '{name}'")
    return given


def _count(columns: Mapping[str, Sequence[Any]], group: Sequence[Hashable] | None) -> int:
    lengths = {name: len(column) for name, column in columns.items()}
    if group is not None:
        lengths["group"] = len(group)
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise DataError(
            f"the lists differ in length ({given}); give one entry for each record, None "
            "where a view has no item."
        )
    count = next(iter(lengths.values()), 0)
    if count == 0:
        raise DataError("there is no record: every list is empty.")
    return count


def _members(group: Sequence[Hashable] | None, count: int) -> NDArray[np.int64]:
    if group is None:
        return np.arange(count)
    try:
        members: NDArray[np.int64] = pd.factorize(pd.Series(list(group), dtype=object))[0]
    except TypeError as error:
        raise DataError(f"group: expected a name or number for each record ({error}).") from None
    if (members < 0).any():
        row = int(np.flatnonzero(members < 0)[0])
        raise DataError(f"record {row} has no group; give one for each record.")
    return members
