"""Bags of words of documents much longer than those a network was trained on."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from octis_m3l.data.batches import SparseRows

_TIMES_THE_MEAN = 5


class TypicalLength(nn.Module):
    """Scales a document that is too long down to the mean length.

    A network on raw counts extrapolates: μ and log σ² grow with the length of a document, and
    beyond some ten times the usual length its posterior is noise. In training, rows are unchanged
    and their lengths are counted. Afterwards, a row longer than all of them, or than five times
    their mean, is scaled down to their mean; all others are unchanged. The published methods have
    no such rule.
    """

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Number of documents, of their words, and of the words of the longest. Weights saved
        # without them count none, and then no row is scaled.
        self.register_buffer("seen", torch.zeros(3, dtype=torch.int64))

    def forward(self, rows: SparseRows) -> SparseRows:
        """Return the rows, with those that are too long scaled down.

        Parameters
        ----------
        rows : SparseRows
            Bags of words.
        """
        if self.training:
            lengths = rows.totals.detach()
            self.seen[0] += len(lengths)
            self.seen[1] += lengths.sum().long()
            self.seen[2] = torch.maximum(self.seen[2], lengths.max().long())
            return rows
        documents, words, longest = self.seen.tolist()
        if not words:
            return rows
        mean = words / documents
        long = rows.totals > min(longest, _TIMES_THE_MEAN * mean)
        scale = torch.where(long, mean / rows.totals.clamp(min=1), 1.0)
        return replace(rows, counts=rows.counts * scale[rows.rows], totals=rows.totals * scale)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        state_dict.setdefault(f"{prefix}seen", torch.zeros_like(self.seen))
        super()._load_from_state_dict(state_dict, prefix, *arguments)
