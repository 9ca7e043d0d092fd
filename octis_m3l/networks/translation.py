"""Topics said in the words of another language, through a dictionary."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Translation(nn.Module):
    """φM, where row i of M has (f_i · translation_ij + 1) for each j, scaled to sum to one.

    f_i is the source word's frequency. M = sparse + rank one: each row's ones are a constant, so
    that no matrix of the two vocabularies is ever made.

    Parameters
    ----------
    pairs : array of int64 (pairs × 2)
        Source word, target word, each pair once.
    frequencies : array (source words)
        f.
    targets : int
        Words of the target vocabulary.

    References
    ----------
    Wu et al. (2020), Learning multilingual topics with neural variational inference (NMTM).
    """

    def __init__(self, pairs: NDArray[np.int64], frequencies: NDArray[np.int64], targets: int):
        super().__init__()
        f = np.asarray(frequencies, np.float64)
        source = pairs[:, 0]
        totals = f * np.bincount(source, minlength=len(f)) + targets
        self.targets = targets
        self.source: Tensor
        self.target: Tensor
        self.weight: Tensor
        self.ones: Tensor
        self.register_buffer("source", torch.from_numpy(source.copy()))
        self.register_buffer("target", torch.from_numpy(pairs[:, 1].copy()))
        self.register_buffer("weight", torch.from_numpy((f / totals)[source]).float())
        self.register_buffer("ones", torch.from_numpy(1.0 / totals).float())

    def forward(self, phi: Tensor) -> Tensor:
        """Return φM (K × target words).

        Parameters
        ----------
        phi : Tensor (K × source words)
            Topics of the source language.
        """
        constant = (phi @ self.ones)[:, None].expand(-1, self.targets)
        said = phi.index_select(1, self.source) * self.weight
        return constant.index_add(1, self.target, said)
