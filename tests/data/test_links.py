"""Links: what they may tie, and the tuples that they form."""

import re
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from octis_m3l.data.links import (
    check_links,
    items_of_tuples,
    restrict_links,
    row_links,
    tuple_numbers,
)
from octis_m3l.data.views import ImageView, View
from octis_m3l.errors import DataError

Node = tuple[int, int]


def view(name: str, *sizes: int) -> View:
    embeddings = np.zeros((sum(sizes), 1), np.float32)
    return ImageView(name=name, sizes=(sizes[0], sizes[1], sizes[2]), embeddings=embeddings)


def as_links(rows: list[list[int]], columns: int) -> NDArray[np.int64]:
    return np.array(rows, np.int64).reshape(-1, columns)


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
    views = [view(f"v{c}", draw(size), draw(size), draw(size)) for c in range(columns)]
    rows = []
    for _ in range(draw(st.integers(0, 12))):
        partition = draw(st.sampled_from(["train", "validation", "test"]))
        spans = [v.rows(partition) for v in views]
        rows.append([draw(st.sampled_from([-1, *range(s.start, s.stop)])) for s in spans])
    return views, as_links(rows, columns)


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


def test_an_article_with_three_hundred_pictures_is_one_tuple() -> None:
    views = [view("image", 300, 0, 0), view("en", 2, 0, 0), view("de", 1, 0, 0)]
    links = np.array([[i, 0, 0] for i in range(300)])
    image, english, german = tuple_numbers(links, views)
    assert set(image) == {0}
    assert english.tolist() == [0, 1]
    assert german.tolist() == [0]


def test_items_tied_through_a_view_that_is_left_out_stay_tied() -> None:
    views = [view("en", 2, 0, 0), view("de", 2, 0, 0), view("image", 3, 0, 0)]
    links = np.array([[0, 1, -1], [0, -1, 0], [0, -1, 2], [1, 0, 1]])
    restricted = restrict_links(links, views, [1, 2])
    german, image = tuple_numbers(restricted, views[1:])
    assert image[[0, 2]].tolist() == [german[1]] * 2
    assert image[1] == german[0] != german[1]


def test_items_of_tuples_are_listed_tuple_by_tuple() -> None:
    numbers = np.array([3, 0, 3, 5, 0, 3])
    found = items_of_tuples(numbers, np.array([0, 1, 3, 9]))
    assert found.items.tolist() == [1, 4, 0, 2, 5]
    assert found.offsets.tolist() == [0, 2, 2, 5, 5]
    assert found.counts.tolist() == [2, 0, 3, 0]
    nothing = items_of_tuples(numbers, np.zeros(0, np.int64))
    assert nothing.items.tolist() == []
    assert nothing.offsets.tolist() == [0]


def test_views_of_equal_sizes_are_linked_row_by_row() -> None:
    assert row_links([view("en", 2, 0, 1), view("de", 2, 0, 1)]).tolist() == [
        [0, 0],
        [1, 1],
        [2, 2],
    ]


def test_views_of_other_sizes_cannot_be_linked_row_by_row() -> None:
    message = (
        "views can only be linked row by row when their partitions hold equally many items; given "
        "en: (2, 0, 1), de: (1, 1, 1). Pass links: a row for each tuple, a column for each view, "
        "-1 where an item is missing."
    )
    with pytest.raises(DataError, match=re.escape(message)):
        row_links([view("en", 2, 0, 1), view("de", 1, 1, 1)])


def test_a_link_out_of_range_says_which() -> None:
    views = [view("en", 2, 0, 1), view("de", 1, 0, 1)]
    message = (
        "link row 1 points to item 2 of view 'de', which has 2 items; use 0 to 1, or -1 for a "
        "missing item."
    )
    with pytest.raises(DataError, match=re.escape(message)):
        check_links(np.array([[0, 0], [1, 2]]), views)
    with pytest.raises(DataError, match=re.escape("link row 0 points to item -2 of view 'en'")):
        check_links(np.array([[-2, 0]]), views)


def test_a_link_across_partitions_says_which() -> None:
    views = [view("en", 2, 0, 1), view("de", 1, 1, 1), view("image", 3, 0, 0)]
    message = (
        "link row 1 ties items of different partitions: en 1 (train), de 1 (validation); a tuple "
        "must be wholly in train, validation or test, so move its items to one partition."
    )
    with pytest.raises(DataError, match=re.escape(message)):
        check_links(np.array([[0, 0, 0], [1, 1, -1]]), views)


@pytest.mark.parametrize(
    ("links", "given"),
    [
        (np.zeros((2, 3), np.int64), "links of shape (2, 3) and type int64"),
        (np.zeros((2, 2)), "links of shape (2, 2) and type float64"),
        (np.zeros(2, np.int64), "links of shape (2,) and type int64"),
    ],
)
def test_links_of_another_shape(links: NDArray[np.int64], given: str) -> None:
    message = f"{given}; expected integers with one column for each of the 2 views (en, de)."
    with pytest.raises(DataError, match=re.escape(message)):
        check_links(links, [view("en", 1, 0, 0), view("de", 1, 0, 0)])
