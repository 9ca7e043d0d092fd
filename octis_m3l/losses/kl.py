"""Kullback–Leibler divergence between diagonal Gaussians."""

from typing import Literal

import torch
from torch import Tensor

from octis_m3l.losses.averages import Average, averaged

Pairs = Literal["all-pairs", "one-way"]


def kl_between_gaussians(
    mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor
) -> Tensor:
    """Return KL(q_a ‖ q_b) of each row in nats, for diagonal Gaussians q_a and q_b (rows × K).

    ½ Σ_k [σ_a²/σ_b² + (μ_b − μ_a)²/σ_b² − 1 + log σ_b² − log σ_a²]; q_b is broadcast to q_a.
    """
    difference = other_log_variance - log_variance
    squares = (other_mean - mean).square() * (-other_log_variance).exp()
    return 0.5 * ((-difference).exp() + squares - 1.0 + difference).sum(dim=-1)


def kl_between_views(
    means: Tensor,
    log_variances: Tensor,
    present: Tensor | None = None,
    *,
    pairs: Pairs = "all-pairs",
    average: Average = "present",
    share: float = 1.0,
) -> Tensor:
    """Return Σ KL(q_a ‖ q_b) over pairs of views of the same tuples, each term a mean.

    Parameters
    ----------
    means, log_variances : Tensor (V × B × K)
        The posterior of each view of each tuple. Those of missing items are ignored.
    present : Tensor of bool (V × B), optional
        Which items are there. Default: all.
    pairs : {'all-pairs', 'one-way'}
        All ordered pairs of views, or only those with b before a.
    average, share
        As for `octis_m3l.losses.averaged`.
    """
    views, rows, _ = means.shape
    # V × V × B
    divergence = kl_between_gaussians(
        means[:, None], log_variances[:, None], means[None], log_variances[None]
    )
    wanted = torch.ones(views, views, dtype=torch.bool, device=means.device)
    wanted = wanted.tril(-1) if pairs == "one-way" else wanted.fill_diagonal_(False)
    if present is None:
        compared, counts = wanted[:, :, None], None
    else:
        compared = present[:, None] & present[None] & wanted[:, :, None]
        counts = compared.sum(dim=2)
    sums = torch.where(compared, divergence, 0.0).sum(dim=2)
    return averaged(sums, counts, rows, average, share)
