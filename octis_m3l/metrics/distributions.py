"""Rows that are probability distributions, checked."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from octis_m3l.errors import DataError

TOLERANCE = 1e-3


def as_distributions(rows: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return a copy of the rows in float64, each scaled to sum to one."""
    matrix = np.array(rows, dtype=np.float64, order="C")
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise DataError(
            f"{name} has shape {matrix.shape}; expected (items, topics): "
            "one distribution over topics for each item."
        )
    _refuse(
        ~np.isfinite(matrix).all(axis=1), name, "has a value that is not finite; did it diverge?"
    )
    _refuse((matrix < 0).any(axis=1), name, "has a negative value; give probabilities, not logits.")
    sums = matrix.sum(axis=1, keepdims=True)
    wrong = np.flatnonzero(np.abs(sums[:, 0] - 1) > TOLERANCE)
    if len(wrong):
        raise DataError(
            f"{name}: item {wrong[0]} sums to {sums[wrong[0], 0]:.6g}; expected 1: give "
            "probabilities, normalised for each item."
        )
    matrix /= sums
    return matrix


def _refuse(wrong: NDArray[np.bool_] | np.bool_, name: str, what: str) -> None:
    items = np.flatnonzero(wrong)
    if len(items):
        raise DataError(f"{name}: item {items[0]} {what}")
