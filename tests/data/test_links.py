"""Links: what they may tie, and the tuples that they form."""

from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from views import image_view, refuses

from octis_m3l.data.links import check_links, restrict_links, row_links, tuple_numbers
from octis_m3l.data.views import View

Node = tuple[int, int]


def slow_tuples(links: NDArray[np.int64], views: list[View]) -> list[list[int]]:
    """Join nodes one by one, then number the groups by partition and first item."""
    nodes = [(c, i) for c, v in enumerate(views) for i in range(len(v))]
    group: dict[Node, set[Node]] = {node: {node} for node in nodes}
    for row in links.tolist():
        present = [(c, i) for c, i in enumerate(row) if i >= 0]
        for a, b in pairwise(present):
            joined = group[a] | group[b]
            for node in joined:
                group[node] = joined

    def order(members: set[Node]) -> tuple[int, int, int]:
        column, item = min(members)
        partition = int(np.searchsorted(np.cumsum(views[column].sizes), item, side="right"))
        return partition, item, column

    groups = sorted({id(g): g for g in group.values()}.values(), key=order)
    number = {node: n for n, members in enumerate(groups) for node in members}
    return [[number[c, i] for i in range(len(v))] for c, v in enumerate(views)]


@st.composite
def linked_views(draw: st.DrawFn) -> tuple[list[View], NDArray[np.int64]]:
    columns = draw(st.integers(1, 4))
    size = st.integers(0, 4)
    views: list[View] = [
        image_view(f"v{c}", draw(size), draw(size), draw(size)) for c in range(columns)
    ]
    rows = []
    for _ in range(draw(st.integers(0, 12))):
        partition = draw(st.sampled_from(["train", "validation", "test"]))
        spans = [v.rows(partition) for v in views]
        rows.append([draw(st.sampled_from([-1, *range(s.start, s.stop)])) for s in spans])
    return views, np.array(rows, np.int64).reshape(-1, columns)


@settings(max_examples=50)
@given(linked_views())
def test_tuples_are_those_of_a_slow_loop(case: tuple[list[View], NDArray[np.int64]]) -> None:
    views, links = case
    check_links(links, views)
    assert [n.tolist() for n in tuple_numbers(links, views)] == slow_tuples(links, views)


@settings(max_examples=50)
@given(linked_views(), st.data())
def test_what_was_one_tuple_stays_one_without_some_views(
    case: tuple[list[View], NDArray[np.int64]], data: st.DataObject
) -> None:
    views, links = case
    columns = data.draw(
        st.lists(st.sampled_from(range(len(views))), min_size=1, unique=True), label="columns"
    )
    kept = [views[c] for c in columns]
    restricted = restrict_links(links, views, columns)
    check_links(restricted, kept)
    before = [slow_tuples(links, views)[c] for c in columns]
    after = slow_tuples(restricted, kept)
    inside: dict[int, set[int]] = defaultdict(set)
    columns_of: dict[int, set[int]] = defaultdict(set)
    for column, (old, new) in enumerate(zip(before, after, strict=True)):
        for a, b in zip(old, new, strict=True):
            inside[a].add(b)
            columns_of[a].add(column)
    assert sum(map(len, inside.values())) == len(set().union(*inside.values(), set()))
    for number, parts in inside.items():
        if len(columns_of[number]) > 1:
            assert len(parts) == 1


def test_views_of_equal_sizes_are_linked_row_by_row() -> None:
    views = [image_view(name, 2, 0, 1) for name in ("en", "de")]
    assert row_links(views).tolist() == [[0, 0], [1, 1], [2, 2]]
    message = (
        "views can only be linked row by row when their partitions hold equally many items; given "
        "en: (2, 0, 1), de: (1, 1, 1). Give each row the same partition in all of them, or link "
        "none, or pass links: a row for each tuple, a column for each view, -1 where an item is "
        "missing."
    )
    with refuses(message):
        row_links([views[0], image_view("de", 1, 1, 1)])


WRONG_SHAPE = "; expected integers with one column for each of the 3 views (en, de, image)."


@pytest.mark.parametrize(
    ("links", "message"),
    [
        (
            [[0, 0, 0], [1, 3, 1]],
            "link row 1 points to item 3 of view 'de', which has 3 items; use 0 to 2, or -1 for a "
            "missing item.",
        ),
        ([[-2, 0, 0]], "link row 0 points to item -2 of view 'en'"),
        (
            [[0, 0, 0], [1, 1, -1]],
            "link row 1 ties items of different partitions: en 1 (train), de 1 (validation); a "
            "tuple must be wholly in train, validation or test, so move its items to one "
            "partition.",
        ),
        (np.zeros((2, 2), int), f"links of shape (2, 2) and type int64{WRONG_SHAPE}"),
        (np.zeros((2, 3)), f"links of shape (2, 3) and type float64{WRONG_SHAPE}"),
        (np.zeros(2, int), f"links of shape (2,) and type int64{WRONG_SHAPE}"),
    ],
)
def test_links_that_do_not_fit(links: Any, message: str) -> None:
    views = [image_view("en", 2, 0, 1), image_view("de", 1, 1, 1), image_view("image", 3, 0, 0)]
    with refuses(message):
        check_links(np.asarray(links), views)
