"""How sums over items become means where some tuples lack some views."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Average = Literal["pooled", "present", "batch"]


def averaged(
    sums: Tensor, counts: Tensor | None, rows: int, average: Average, share: float = 1.0
) -> Tensor:
    """Return the sum of the terms of all views, or of all pairs of views, each made a mean.

    Where no item is missing, the three ways agree: every term is a mean over the batch.

    Parameters
    ----------
    sums : Tensor (terms)
        Each term's sum over its items, or pairs of items.
    counts : Tensor of int (terms), or None
        How many items or pairs each sum is over; None if B each.
    rows : int
        B, the tuples in the batch.
    average : {'pooled', 'present', 'batch'}
        'present': each term is divided by its own count, so that all views (or pairs of views)
        weigh the same, and an item of a rare view more than others. 'batch': each term is divided
        by B. 'pooled': by B × `share`, so that all items (or pairs) weigh the same in every batch,
        and all terms together as much as if nothing were missing.
    share : float
        For 'pooled': the share of the training tuples that have the view (or pair), averaged over
        the views (or pairs) of these terms that occur at least once.
    """
    if average == "present" and counts is not None:
        return (sums / counts.clamp(min=1)).sum()
    return sums.sum() / (rows * share if average == "pooled" else rows)


def averaged_over_views(
    losses: Sequence[Tensor],
    rows: int,
    average: Average,
    share: float = 1.0,
    present: Sequence[Tensor | None] | None = None,
) -> Tensor:
    """Return the sum over views of each view's mean, given the losses of each view's items.

    `present` says which rows of each view are items, None: all. The other arguments are as for
    `averaged`.
    """
    sizes: list[int | Tensor] = [len(loss) for loss in losses]
    for number, here in enumerate(present or ()):
        if here is not None:
            losses = [
                *losses[:number],
                torch.where(here, losses[number], 0.0),
                *losses[number + 1 :],
            ]
            sizes[number] = here.sum()
    if average != "present" or all(isinstance(size, int) and size == rows for size in sizes):
        return averaged(torch.cat(list(losses)), None, rows, average, share)
    sums = torch.stack([loss.sum() for loss in losses])
    counts = torch.stack([s if isinstance(s, Tensor) else sums.new_full((), s) for s in sizes])
    return averaged(sums, counts, rows, average, share)
