"""What networks know of their inputs from the training data: scales and usual lengths."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from octis_m3l.data.batches import SparseRows
from octis_m3l.errors import DataError

_TIMES_THE_MEAN = 5
_USUAL_DIMENSIONS = 150


class Standardiser(nn.Module):
    """Subtracts a mean and divides by a standard deviation, dimension by dimension.

    Encoders differ in scale by orders of magnitude, and a network hardly learns from unit-length
    vectors of 300 dimensions; the docs have measurements.

    Parameters
    ----------
    dimensions : int
        D, the size of the embeddings.
    one_length : bool
        Whether all dimensions are divided by the same number instead, and every result is scaled to
        the length √D. Dimensions of little variance, which are mostly noise in encoders that are
        fitted on training items, then stay small; and these encoders give other items shorter
        vectors, from which a network infers less certain topics.
    noise : float
        Standard deviation of what is added to every dimension of a result in training; with
        D < 150, × √(D / 150), since the same noise would drown a short vector.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dimensions: int, *, one_length: bool = False, noise: float = 0.0) -> None:
        super().__init__()
        self.one_length = one_length
        self.noise = noise * min(1.0, math.sqrt(dimensions / _USUAL_DIMENSIONS))
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("scale", torch.ones(dimensions))

    def fit(self, embeddings: NDArray[Any], rows: slice, view: str) -> None:
        """Learn from some rows of an array or memory map (items × dimensions), read in pieces.

        A dimension that does not vary is only centred, unless all are divided by one number.
        """
        if rows.stop <= rows.start:
            raise DataError(
                f"view '{view}' has no training item to standardise its embeddings by; every view "
                "needs some items in the training partition."
            )
        step = max(1, 16_000_000 // embeddings.shape[1])
        starts = range(rows.start, rows.stop, step)
        count = rows.stop - rows.start
        pieces = [embeddings[s : min(s + step, rows.stop)] for s in starts]
        mean = sum(np.asarray(p, np.float64).sum(axis=0) for p in pieces) / count
        squares = sum(np.square(np.asarray(p, np.float64) - mean).sum(axis=0) for p in pieces)
        deviation = np.sqrt(np.asarray(squares) / count)
        # A deviation below single precision counts as zero.
        least = np.maximum(1e-9 * deviation.max(), 1e-7 * np.abs(np.asarray(mean)))
        varies = deviation > least
        if self.one_length and varies.any():
            deviation[:], varies[:] = np.sqrt(np.mean(deviation[varies] ** 2)), True
        scale = np.where(varies, 1.0 / np.where(varies, deviation, 1.0), 1.0)
        self.mean.copy_(torch.from_numpy(np.asarray(mean)))
        self.scale.copy_(torch.from_numpy(scale))

    def forward(
        self, embeddings: Tensor, normal: Callable[[Tensor], Tensor] = torch.randn_like
    ) -> Tensor:
        """Return standardised embeddings (rows × dimensions).

        `normal` returns as many standard normal numbers as there are in a tensor.
        """
        values = (embeddings - self.mean) * self.scale
        if self.one_length:
            values = functional.normalize(values) * math.sqrt(values.shape[1])
        if self.noise and self.training:
            values = values + self.noise * normal(values)
        return values


class TypicalLength(nn.Module):
    """Scales bags of words of a document that is too long down to the mean length.

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
        """Return the rows, with those that are too long scaled down."""
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
