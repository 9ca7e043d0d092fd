"""Centred kernel alignment of two sets of vectors for the same rows."""

import torch
from torch import Tensor

# Below this value there is only rounding, and the gradient of the root has no bound.
_LEAST = 1e-24


def cka_loss(first: Tensor, second: Tensor) -> Tensor:
    """Return 1 − ‖S̃ᵀT̃‖_F / √(‖S̃ᵀS̃‖_F ‖T̃ᵀT̃‖_F), of column-centred S̃ and T̃.

    That is 1 minus the square root of the usual linear CKA, from 0, where the inner products of
    the rows (rows × D, rows × E) agree up to a factor, to 1. Computed in double precision. If one
    side does not vary, it is 1 and has no gradient.

    References
    ----------
    Kornblith et al. (2019), Similarity of neural network representations revisited, eq. 3; Phat et
    al. (2026), GloCTM.
    """
    one, other = first.double(), second.double()
    one, other = one - one.mean(dim=0), other - other.mean(dim=0)
    # ‖SᵀT‖_F² = ⟨SSᵀ, TTᵀ⟩: with more columns than rows, products of rows are smaller.
    if max(one.shape[1], other.shape[1]) > len(one):
        of_one, of_other = one @ one.T, other @ other.T
        across = (of_one * of_other).sum()
    else:
        of_one, of_other = one.T @ one, other.T @ other
        across = (one.T @ other).square().sum()
    norms = of_one.square().sum() * of_other.square().sum()
    varies = norms > 0
    alike = across / torch.where(varies, norms, 1.0).sqrt()
    loss = 1.0 - torch.where(varies, alike, 0.0).clamp(min=_LEAST).sqrt()
    return loss.to(first.dtype)
