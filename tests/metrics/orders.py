"""Brute force over every order of tied targets, for the two measures of rankings."""

from collections.abc import Callable
from itertools import permutations
from statistics import fmean

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Ranking = tuple[NDArray[np.float64], NDArray[np.bool_]]


@st.composite
def rankings(draw: st.DrawFn, queries: int = 3, most: int = 6) -> Ranking:
    """Draw distances with many ties, and at least one relevant target for each query."""
    targets = draw(st.integers(1, most))
    distances = draw(
        st.lists(
            st.lists(st.integers(0, 2), min_size=targets, max_size=targets),
            min_size=queries,
            max_size=queries,
        )
    )
    relevant = np.array(
        draw(
            st.lists(
                st.lists(st.booleans(), min_size=targets, max_size=targets),
                min_size=queries,
                max_size=queries,
            )
        )
    )
    relevant[np.arange(queries), draw(st.integers(0, targets - 1))] = True
    return np.array(distances, dtype=np.float64), relevant


def mean_over_orders(
    distances: NDArray[np.float64],
    relevant: NDArray[np.bool_],
    measure: Callable[[list[bool]], float],
) -> float:
    """Return the mean of a measure over all orders in which no nearer target comes later."""
    orders = [
        order
        for order in permutations(range(len(distances)))
        if (np.diff(distances[list(order)]) >= 0).all()
    ]
    return fmean(measure([bool(relevant[i]) for i in order]) for order in orders)


def reciprocal_rank(hits: list[bool]) -> float:
    """Return 1 / place of the first hit."""
    return 1 / (hits.index(True) + 1)


def average_precision(hits: list[bool]) -> float:
    """Return the mean, over hits, of the share of hits up to there."""
    return fmean(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit)
