"""Embeddings scaled to mean 0 and variance 1 by training statistics stored with the model."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from octis_m3l.errors import DataError


class Standardiser(nn.Module):
    """Subtracts a mean and divides by a standard deviation, dimension by dimension.

    Encoders differ in scale by orders of magnitude, and a network hardly learns from unit-length
    vectors of 300 dimensions; the docs have measurements.

    Parameters
    ----------
    dimensions : int
        The size of the embeddings.
    """

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("scale", torch.ones(dimensions))

    def fit(self, embeddings: NDArray[Any], rows: slice, view: str) -> None:
        """Compute mean and standard deviation of some rows, read in pieces.

        Parameters
        ----------
        embeddings : array or memory map (items × dimensions)
            The embeddings.
        rows : slice
            The training items.
        view : str
            Their view, for the message.

        Raises
        ------
        DataError
            If there is no training item.
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
        scale = np.where(varies, 1.0 / np.where(varies, deviation, 1.0), 1.0)
        self.mean.copy_(torch.from_numpy(np.asarray(mean)))
        self.scale.copy_(torch.from_numpy(scale))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return standardised embeddings.

        Parameters
        ----------
        embeddings : Tensor (rows × dimensions)
            As the encoder gave them.
        """
        return (embeddings - self.mean) * self.scale
