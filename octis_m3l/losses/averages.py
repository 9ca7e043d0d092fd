"""How sums over items with gaps become means."""

from typing import Literal

from torch import Tensor

Average = Literal["pooled", "present", "batch"]


def averaged(sums: Tensor, counts: Tensor, rows: int, average: Average) -> Tensor:
    """Return Σ of the terms of all views, or of all pairs of views, each made a mean.

    With no gaps the three ways are one: every term is a mean over the batch.

    Parameters
    ----------
    sums : Tensor (terms)
        Of each term over its items, or pairs of items.
    counts : Tensor of int (terms)
        How many those are.
    rows : int
        B, the tuples in the batch.
    average : {'pooled', 'present', 'batch'}
        'present': each term is a mean over its own items, so that every view, or pair of views,
        weighs the same, and an item of a rare one more. 'pooled': the number of terms times the
        mean over all their items, so that every item, or pair of items, weighs the same.
        'batch': each term is divided by B.

    Returns
    -------
    Tensor (scalar)
    """
    if average == "present":
        return (sums / counts.clamp(min=1)).sum()
    if average == "pooled":
        return sums.sum() * len(sums) / counts.sum().clamp(min=1)
    return sums.sum() / rows
