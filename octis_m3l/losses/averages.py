"""How sums over items with gaps become means."""

from typing import Literal

from torch import Tensor

Average = Literal["pooled", "present", "batch"]


def averaged(
    sums: Tensor, counts: Tensor | None, rows: int, average: Average, share: float = 1.0
) -> Tensor:
    """Return Σ of the terms of all views, or of all pairs of views, each made a mean.

    With no gaps the three ways are one: every term is a mean over the batch.

    Parameters
    ----------
    sums : Tensor (terms)
        Of each term over its items, or pairs of items.
    counts : Tensor of int (terms), or None
        How many those are; None where each is B.
    rows : int
        B, the tuples in the batch.
    average : {'pooled', 'present', 'batch'}
        'present': each term is a mean over its own items, so that every view, or pair of views,
        weighs the same, and an item of a rare one more. 'batch': each term is divided by B.
        'pooled': by B × `share`, so that every item, or pair of items, weighs the same in every
        batch, and all terms together as much as without gaps.
    share : float
        Of 'pooled': the share of the training tuples that have a view, or a pair of views,
        averaged over the views or pairs that these terms are of and that occur at least once.

    Returns
    -------
    Tensor (scalar)
    """
    if average == "present" and counts is not None:
        return (sums / counts.clamp(min=1)).sum()
    return sums.sum() / (rows * share if average == "pooled" else rows)
