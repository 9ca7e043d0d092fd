"""A linear layer on bags of words that stay sparse."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from octis_m3l.data.batches import SparseRows


class SparseLinear(nn.Module):
    """y = xW + b for sparse rows x: like nn.Linear, computed from the words that occur.

    Parameters
    ----------
    words : int
        Columns of x.
    units : int
        Columns of y.
    """

    def __init__(self, words: int, units: int) -> None:
        super().__init__()
        # The same distribution as nn.Linear's.
        bound = 1.0 / math.sqrt(words)
        self.weight = nn.Parameter(torch.empty(words, units).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(units).uniform_(-bound, bound))

    def forward(self, given: SparseRows) -> Tensor:
        """Return y (rows × units).

        Parameters
        ----------
        given : SparseRows
            x; entries in the order of rows, and a word may have several in one row.
        """
        rows = len(given.totals)
        lengths = torch.bincount(given.rows, minlength=rows)
        sums = functional.embedding_bag(
            given.words,
            self.weight,
            lengths.cumsum(0) - lengths,
            mode="sum",
            per_sample_weights=given.counts,
        )
        return sums + self.bias
