"""Jensen-Shannon divergence, pair by pair and all against all."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr

from octis_m3l.errors import DataError

_TOLERANCE = 1e-3
_BLOCK = 2**17
_PAIRS = 2**18
_DECIMALS = 12
_EPSILON = float(np.finfo(np.float32).eps)
_TINY = np.finfo(np.float64).tiny
_LOG_2 = float(np.log(2))


def as_distributions(rows: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return a copy of the rows in float64, each scaled to sum to one."""
    matrix = np.array(rows, dtype=np.float64, order="C")
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise DataError(
            f"{name} has shape {matrix.shape}; expected (items, topics): "
            "one distribution over topics for each item."
        )
    for wrong, what in (
        (~np.isfinite(matrix).all(axis=1), "has a value that is not finite; did it diverge?"),
        ((matrix < 0).any(axis=1), "has a negative value; give probabilities, not logits."),
    ):
        if wrong.any():
            raise DataError(f"{name}: item {np.flatnonzero(wrong)[0]} {what}")
    sums = matrix.sum(axis=1, keepdims=True)
    unscaled = np.flatnonzero(np.abs(sums[:, 0] - 1) > _TOLERANCE)
    if len(unscaled):
        raise DataError(
            f"{name}: item {unscaled[0]} sums to {sums[unscaled[0], 0]:.6g}; expected 1: give "
            "probabilities, normalised for each item."
        )
    matrix /= sums
    return matrix


def jensen_shannon(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return ½KL(p‖m) + ½KL(q‖m), m = ½(p + q), of each row p and the row q beside it (Lin 1991).

    Natural logarithm; 0·log 0 = 0. Equal rows give exactly 0.

    Parameters
    ----------
    first, second : array (items × K)
        Distributions, one a row.

    Examples
    --------
    >>> jensen_shannon([[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]).round(4).tolist()
    [0.6931, 0.0]
    """
    p = as_distributions(first, "the first distributions")
    q = as_distributions(second, "the second distributions")
    if p.shape != q.shape:
        raise DataError(
            f"rows are compared in pairs, but the shapes are {p.shape} and {q.shape}; "
            "give as many rows and topics on both sides."
        )
    divergences = np.empty(len(p))
    step = max(1, _BLOCK // p.shape[1])
    for start in range(0, len(p), step):
        a, b = p[start : start + step], q[start : start + step]
        middle = (a + b) / 2
        divergences[start : start + step] = (rel_entr(a, middle) + rel_entr(b, middle)).sum(axis=1)
    return np.clip(divergences / 2, 0, _LOG_2)


def _sides(first: ArrayLike, second: ArrayLike) -> list[NDArray[np.float64]]:
    """Return distributions over the same topics, each row of one to be compared with any other."""
    p = as_distributions(first, "the first distributions")
    q = as_distributions(second, "the second distributions")
    if q.shape[1] != p.shape[1]:
        raise DataError(
            f"the first distributions have {p.shape[1]} topics, the second {q.shape[1]}; "
            "compare items of one model."
        )
    return [p, q]


def jensen_shannon_matrix(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return the Jensen-Shannon divergence of every row of one array to every row of another.

    Natural logarithm; 0·log 0 = 0. Exact to about 1e-15. Beside inputs and result it needs a few
    megabytes, whatever the sizes.

    Parameters
    ----------
    first, second : array (N × K), array (M × K)
        Distributions, one a row.

    Examples
    --------
    >>> jensen_shannon_matrix([[1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]).round(4).tolist()
    [[0.6931, 0.0]]
    """
    p, q = (np.maximum(side, _TINY) for side in _sides(first, second))
    topics = p.shape[1]
    # With s = p + q: JSD = ln 2 + ½ (Σ p ln p + Σ q ln q − Σ s ln s).
    p_term, q_term = (p * np.log(p)).sum(axis=1), (q * np.log(q)).sum(axis=1)
    result = np.empty((len(p), len(q)))
    width = max(1, min(len(q), _BLOCK // topics))
    height = max(1, _BLOCK // (topics * width))
    for top in range(0, len(p), height):
        rows = slice(top, top + height)
        for left in range(0, len(q), width):
            columns = slice(left, left + width)
            sums = p[rows, None, :] + q[None, columns, :]
            result[rows, columns] = np.einsum("nmk,nmk->nm", sums, np.log(sums))
    np.subtract(p_term[:, None] + q_term, result, out=result)
    result /= 2
    result += _LOG_2
    return np.clip(result, 0, _LOG_2, out=result)


class Neighbours:
    """Divergences between the rows of two arrays, and how many rows are nearer than a limit.

    Parameters
    ----------
    first, second : array (N × K), array (M × K)
        Distributions, one a row.
    """

    def __init__(self, first: ArrayLike, second: ArrayLike) -> None:
        sides = _sides(first, second)
        self._double = _Pairs(*(np.maximum(side, _TINY) for side in sides))
        self._single = _Pairs(*(np.maximum(side, 1e-30).astype(np.float32) for side in sides))
        self._roots = [np.sqrt(side).astype(np.float32) for side in sides]

    def divergences(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the divergence of each given row and column, rounded to 12 decimals."""
        return self._double.divergences(rows, columns).round(_DECIMALS)

    def count(
        self, rows: NDArray[np.int64], limits: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how many of `second` are nearer to each given row than a limit, and how many tie.

        Exact, by rounded divergences. With the affinity a = Σ √(p q), (1 − a) ln 2 ≤ JSD ≤ 1 − a,
        since that holds for each topic's part; so most pairs need no logarithm. The others are
        computed in single precision, and in double precision if that is too near to the limit.
        """
        targets, topics = self._roots[1].shape
        affinity_error = (topics + 4) * _EPSILON
        error = 4 * (1 + np.log(topics)) * affinity_error
        nearer, tied = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        step = max(1, _PAIRS // targets)
        for start in range(0, len(rows), step):
            here = slice(start, start + step)
            mine, limit = rows[here], limits[here]
            affinity = self._roots[0][mine] @ self._roots[1].T
            surely = affinity > (1 - limit + affinity_error).astype(np.float32)[:, None]
            least = (1 - limit / _LOG_2 - affinity_error).astype(np.float32)[:, None]
            query, target = np.nonzero((affinity >= least) & ~surely)
            gap = self._single.divergences(mine[query], target) - limit[query]
            close = np.abs(gap) <= error
            nearer[here] = surely.sum(axis=1) + _counted(query[gap < -error], mine)
            query, target = query[close], target[close]
            exact = self.divergences(mine[query], target)
            nearer[here] += _counted(query[exact < limit[query]], mine)
            tied[here] = _counted(query[exact == limit[query]], mine)
        return nearer, tied


class _Pairs:
    """Divergences of chosen pairs of rows without zeros, in the precision of the rows."""

    def __init__(self, first: NDArray[Any], second: NDArray[Any]) -> None:
        self.sides = first, second
        self.terms = [(side * np.log(side)).sum(axis=1) for side in self.sides]

    def divergences(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[Any]:
        first, second = self.sides
        crossed = np.empty(len(rows), first.dtype)
        step = max(1, _BLOCK // first.shape[1])
        for start in range(0, len(rows), step):
            sums = first.take(rows[start : start + step], axis=0)
            sums += second.take(columns[start : start + step], axis=0)
            crossed[start : start + step] = np.einsum("nk,nk->n", sums, np.log(sums))
        divergences = (self.terms[0][rows] + self.terms[1][columns] - crossed) / 2 + _LOG_2
        return np.asarray(divergences)


def _counted(numbers: NDArray[np.int64], of: NDArray[Any]) -> NDArray[np.int64]:
    return np.bincount(numbers, minlength=len(of)).astype(np.int64)
