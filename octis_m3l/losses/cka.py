"""Centred kernel alignment of two sets of vectors for the same rows."""

import torch
from torch import Tensor


def cka_loss(first: Tensor, second: Tensor) -> Tensor:
    """Return 1 − ‖S̃ᵀT̃‖_F / √(‖S̃ᵀS̃‖_F ‖T̃ᵀT̃‖_F), of column-centred S̃ and T̃.

    That is 1 less the square root of the usual linear CKA.

    Parameters
    ----------
    first, second : Tensor (rows × D), Tensor (rows × E)
        Vectors of the same rows.

    Returns
    -------
    Tensor (scalar)
        From 0, where the rows' inner products agree up to a factor, to 1. In the precision that
        it is given; 1 where one side does not vary.

    References
    ----------
    Kornblith et al. (2019), Similarity of neural network representations revisited, eq. 3; Phat et
    al. (2026), GloCTM.
    """
    first = first - first.mean(dim=0)
    second = second - second.mean(dim=0)
    # ‖SᵀT‖_F² = ⟨SSᵀ, TTᵀ⟩: with more columns than rows, products of rows are the smaller ones.
    if max(first.shape[1], second.shape[1]) > first.shape[0]:
        one, other = first @ first.T, second @ second.T
        across = (one * other).sum().clamp(min=0).sqrt()
        norms = one.norm() * other.norm()
    else:
        across = (first.T @ second).norm()
        norms = (first.T @ first).norm() * (second.T @ second).norm()
    alike: Tensor = across / norms.sqrt().clamp(min=torch.finfo(first.dtype).tiny ** 0.5)
    return 1.0 - alike
