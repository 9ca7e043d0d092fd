"""Dense counts as the sparse rows that networks and losses read."""

from typing import Any

import torch

from octis_m3l.data.batches import SparseRows


def sparse_rows(counts: Any) -> SparseRows:
    """Return the rows of a dense matrix of counts."""
    dense = torch.as_tensor(counts)
    rows, words = dense.nonzero(as_tuple=True)
    return SparseRows(rows, words, dense[rows, words], dense.sum(dim=1))
