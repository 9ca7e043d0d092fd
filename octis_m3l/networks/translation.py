"""Topics translated into another language through a dictionary."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Translation(nn.Module):
    """φM, where row i of M has (f_i · translation_ij + 1) for each j, scaled to sum to one.

    f_i is the frequency of source word i. M is computed as a sparse matrix plus one of rank one,
    so that no matrix of the two vocabularies is ever made.

    Parameters
    ----------
    pairs : int
        The number of translations in the dictionary.
    sources, targets : int
        The sizes of the two vocabularies.

    References
    ----------
    Wu et al. (2020), Learning multilingual topics with neural variational inference (NMTM).
    """

    source: Tensor
    target: Tensor
    weight: Tensor
    ones: Tensor

    def __init__(self, pairs: int, sources: int, targets: int) -> None:
        super().__init__()
        self.targets = targets
        self.register_buffer("source", torch.zeros(pairs, dtype=torch.int64))
        self.register_buffer("target", torch.zeros(pairs, dtype=torch.int64))
        self.register_buffer("weight", torch.zeros(pairs))
        self.register_buffer("ones", torch.zeros(sources))

    def fit(self, pairs: NDArray[np.int64], frequencies: NDArray[np.int64]) -> None:
        """Set the dictionary.

        Parameters
        ----------
        pairs : array of int64 (pairs × 2)
            Source word, target word, each pair once.
        frequencies : array (source words)
            f.
        """
        f = np.asarray(frequencies, np.float64)
        source = pairs[:, 0]
        totals = f * np.bincount(source, minlength=len(f)) + self.targets
        self.source.copy_(torch.from_numpy(source.copy()))
        self.target.copy_(torch.from_numpy(pairs[:, 1].copy()))
        self.weight.copy_(torch.from_numpy((f / totals)[source]))
        self.ones.copy_(torch.from_numpy(1.0 / totals))

    def forward(self, phi: Tensor) -> Tensor:
        """Return φM (K × target words).

        Parameters
        ----------
        phi : Tensor (K × source words)
            Topics of the source language.
        """
        constant = (phi @ self.ones)[:, None].expand(-1, self.targets)
        translated = phi.index_select(1, self.source) * self.weight
        return constant.index_add(1, self.target, translated)
