"""Links: rows that tie items of different views together, and the tuples they form."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from octis_m3l.data.views import PARTITIONS, View
from octis_m3l.errors import DataError

MISSING = -1


def row_links(views: Sequence[View]) -> NDArray[np.int64]:
    """Link views that hold the same number of items, row by row."""
    sizes = {view.sizes for view in views}
    if len(sizes) != 1:
        given = ", ".join(f"{view.name}: {view.sizes}" for view in views)
        raise DataError(
            f"views can only be linked row by row when their partitions hold equally many items; "
            f"given {given}. Give each row the same partition in all of them, or link none, or "
            "pass links: a row for each tuple, a column for each view, -1 where an item is missing."
        )
    return np.repeat(np.arange(len(views[0]))[:, None], len(views), axis=1)


def links_of_groups(
    groups: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Return link rows that tie all items of each group together.

    Parameters
    ----------
    groups, positions : sequence of array of int64
        One of each for every view: the group and the stored position of each occurrence of an
        item, −1 where the item was dropped.
    """
    columns = []
    for group, position in zip(groups, positions, strict=True):
        items = pd.DataFrame({"group": group, "item": position})
        items = items[items["item"] >= 0].drop_duplicates()
        items["number"] = items.groupby("group").cumcount()
        columns.append(items.set_index(["group", "number"])["item"])
    # Row i of a group has the i-th item of each view, or the first one where it has fewer.
    own = pd.concat(columns, axis=1).sort_index()
    first = own.groupby("group").transform("first")
    links = own.fillna(first).fillna(MISSING).to_numpy(np.int64)
    # A row that shares no item with the first row of its group is tied to it by one more row.
    group, number = (own.index.get_level_values(level).to_numpy() for level in (0, 1))
    filled = first.notna().to_numpy()
    shares_none = (own.notna().to_numpy() == filled).all(axis=1)
    apart = np.flatnonzero((number > 0) & shares_none & (filled.sum(axis=1) > 1))
    ties = np.full((len(apart), len(groups)), MISSING, np.int64)
    if len(apart):
        one, other = np.argsort(~filled[apart], axis=1, kind="stable")[:, :2].T
        each = np.arange(len(apart))
        ties[each, one] = links[apart - number[apart], one]
        ties[each, other] = links[apart, other]
    every = np.concatenate([links, ties])
    is_tie = np.repeat([0, 1], [len(links), len(ties)])
    number, group = np.append(number, number[apart]), np.append(group, group[apart])
    return every[np.lexsort((number, is_tie, group, every[:, 0]))]


def check_links(links: NDArray[np.int64], views: Sequence[View]) -> None:
    """Check that links point at items that exist, and stay within a partition."""
    if links.ndim != 2 or links.shape[1] != len(views) or links.dtype.kind not in "iu":
        raise DataError(
            f"links of shape {links.shape} and type {links.dtype}; expected integers with one "
            f"column for each of the {len(views)} views ({', '.join(v.name for v in views)})."
        )
    partitions = np.full(links.shape, MISSING, np.int8)
    for column, view in enumerate(views):
        items = links[:, column]
        wrong = np.flatnonzero((items < MISSING) | (items >= len(view)))
        if len(wrong):
            raise DataError(
                f"link row {wrong[0]} points to item {items[wrong[0]]} of view '{view.name}', "
                f"which has {len(view)} items; use 0 to {len(view) - 1}, or -1 for a missing item."
            )
        present = items >= 0
        bounds = np.cumsum(view.sizes)
        partitions[present, column] = np.searchsorted(bounds, items[present], side="right")
    known = np.where(partitions >= 0, partitions, 127)
    mixed = np.flatnonzero(partitions.max(axis=1) > known.min(axis=1))
    if len(mixed):
        row = mixed[0]
        given = ", ".join(
            f"{view.name} {links[row, c]} ({PARTITIONS[partitions[row, c]]})"
            for c, view in enumerate(views)
            if links[row, c] >= 0
        )
        raise DataError(
            f"link row {row} ties items of different partitions: {given}; a tuple must be wholly "
            "in train, validation or test, so move its items to one partition."
        )


def tuple_numbers(links: NDArray[np.int64], views: Sequence[View]) -> list[NDArray[np.int64]]:
    """Give every item the number of its tuple: a connected group of link rows.

    An item in no row is a tuple by itself.
    """
    starts = np.concatenate([[0], np.cumsum([len(view) for view in views])])
    nodes = np.where(links >= 0, links + starts[:-1], MISSING)
    anchor = nodes.max(axis=1, initial=MISSING)
    ends = nodes.ravel()
    origins = np.repeat(anchor, len(views))
    present = ends >= 0
    graph = coo_array(
        (np.ones(int(present.sum()), np.int8), (origins[present], ends[present])),
        shape=(starts[-1], starts[-1]),
    )
    _, component = connected_components(graph, directed=False)
    partition = np.concatenate([view.partition_numbers for view in views])
    position = np.concatenate([np.arange(len(view)) for view in views])
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    order = np.lexsort((first, position[first], partition[first]))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    numbers = rank[inverse]
    return [numbers[a:b] for a, b in pairwise(starts)]


def restrict_links(
    links: NDArray[np.int64], views: Sequence[View], columns: Sequence[int]
) -> NDArray[np.int64]:
    """Return the links of some of the views, with connected tuples.

    Items tied only through a view that is left out are tied by new rows, except items of one
    single view: a row holds one item of each view.
    """
    kept_views = [views[column] for column in columns]
    kept = links[:, list(columns)]
    kept = kept[(kept >= 0).any(axis=1)]
    if not len(kept):
        return kept
    numbers = tuple_numbers(links, views)
    before = np.concatenate([numbers[column] for column in columns])
    after = np.concatenate(tuple_numbers(kept, kept_views))
    column = np.repeat(np.arange(len(columns)), [len(view) for view in kept_views])
    item = np.concatenate([np.arange(len(view)) for view in kept_views])
    _, parts = np.unique(after, return_index=True)
    _, whole, parts_of = np.unique(before[parts], return_inverse=True, return_counts=True)
    hub = np.full(before.max() + 1, MISSING)
    other = hub.copy()
    nodes = np.arange(len(before))[::-1]
    hub[before[nodes]] = nodes
    abroad = nodes[column[nodes] != column[hub[before[nodes]]]]
    other[before[abroad]] = abroad
    broken = parts[parts_of[whole] > 1]
    partner = np.where(
        column[broken] != column[hub[before[broken]]], hub[before[broken]], other[before[broken]]
    )
    broken, partner = broken[partner >= 0], partner[partner >= 0]
    ties = np.full((len(broken), len(columns)), MISSING, np.int64)
    ties[np.arange(len(broken)), column[broken]] = item[broken]
    ties[np.arange(len(broken)), column[partner]] = item[partner]
    return np.unique(np.concatenate([kept, ties]), axis=0)
