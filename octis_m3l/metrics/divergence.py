"""Jensen-Shannon divergence, pair by pair and all against all."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr, xlogy

from octis_m3l.errors import DataError

_TOLERANCE = 1e-3
_BLOCK = 2**17
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
    p = as_distributions(first, "the first distributions")
    q = as_distributions(second, "the second distributions")
    topics = p.shape[1]
    if q.shape[1] != topics:
        raise DataError(
            f"the first distributions have {topics} topics, the second {q.shape[1]}; "
            "compare items of one model."
        )
    # With s = p + q: JSD = ln 2 + ½ (Σ p ln p + Σ q ln q − Σ s ln s).
    p_term, q_term = xlogy(p, p).sum(axis=1), xlogy(q, q).sum(axis=1)
    result = np.empty((len(p), len(q)))
    width = max(1, min(len(q), _BLOCK // topics))
    height = max(1, _BLOCK // (topics * width))
    for top in range(0, len(p), height):
        rows = slice(top, top + height)
        for left in range(0, len(q), width):
            columns = slice(left, left + width)
            sums = p[rows, None, :] + q[None, columns, :]
            logs = np.maximum(sums, _TINY)
            np.log(logs, out=logs)
            result[rows, columns] = np.einsum("nmk,nmk->nm", sums, logs)
    np.subtract(p_term[:, None] + q_term, result, out=result)
    result /= 2
    result += _LOG_2
    return np.clip(result, 0, _LOG_2, out=result)
