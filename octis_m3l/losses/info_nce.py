"""InfoNCE between any number of views, from one similarity matrix."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from octis_m3l.losses.averages import Average, averaged

Similarity = Literal["cosine", "dot"]
Negatives = Literal["other-view", "both-views", "printed"]


def info_nce(
    vectors: Tensor,
    present: Tensor | None = None,
    *,
    temperature: float,
    similarity: Similarity = "cosine",
    negatives: Negatives = "both-views",
    average: Average = "present",
    share: float = 1.0,
) -> Tensor:
    r"""Return Σ_{a<b} ½ (InfoNCE_ab + InfoNCE_ba) over all pairs of views.

    InfoNCE_ab = −mean_i log [ exp(s_ii^ab) / (exp(s_ii^ab) + Σ_{negatives j of i} exp(s_ij)) ],
    with s_ij^ab = sim(θ_i^a, θ_j^b) / τ.

    Parameters
    ----------
    vectors : Tensor (V × B × K)
        One vector for each view of each tuple. Vectors of missing items are ignored.
    present : Tensor of bool (V × B), optional
        Which items are there. Default: all.
    temperature, similarity
        τ, above 0, and sim: 'cosine' or 'dot'.
    negatives : {'other-view', 'both-views', 'printed'}
        The negatives of a positive pair (i^a, i^b). 'other-view': items of other tuples in view b
        (the paper's prose: B − 1 of them). 'both-views': items of other tuples in views a and b
        (NT-Xent, as in the authors' code: 2B − 2). 'printed': equation 1 as printed, whose
        denominator Σ_j Σ_{c,d} exp(s_ij^cd) is over every tuple including the anchor's own, and
        every pair of views including a view with itself.
    average, share
        What the sums over i are divided by if items are missing; see `octis_m3l.losses.averaged`.

    Returns
    -------
    Tensor (scalar)
        0 when no pair of views has an item in common.

    References
    ----------
    van den Oord et al. (2018), eq. 4; Zosa & Pivovarova (2022), eq. 1; Chen et al. (2020), eq. 1.
    """
    views, rows, _ = vectors.shape
    if similarity == "cosine":
        vectors = functional.normalize(vectors, dim=-1)
    flat = vectors.reshape(views * rows, -1)
    scores = (flat @ flat.T / temperature).reshape(views, rows, views, rows)
    positive = scores.diagonal(dim1=1, dim2=3)
    forbidden = torch.eye(rows, dtype=torch.bool, device=vectors.device)[None, :, None, :]
    if present is not None:
        forbidden = forbidden | ~present[None, None, :, :]
    # A finite fill keeps the gradient of an empty set of negatives at zero instead of NaN.
    low = torch.finfo(vectors.dtype).min / 2
    against = scores.masked_fill(forbidden, low).logsumexp(dim=3)
    others = against.permute(0, 2, 1)
    if negatives == "both-views":
        own = others.diagonal(dim1=0, dim2=1).T[:, None, :]
        others = torch.logaddexp(others, own.expand_as(others))
    loss = functional.softplus(others - positive)
    if negatives == "printed":
        if present is not None:
            there = present[:, :, None, None] & present[None, None, :, :]
            scores = scores.masked_fill(~there, low)
        loss = scores.logsumexp(dim=(0, 2, 3)) - positive
    # A view is not compared with itself.
    itself = torch.eye(views, dtype=torch.bool, device=vectors.device)
    if present is None:
        sums, counts = loss.masked_fill(itself[:, :, None], 0.0), None
    else:
        both = present[:, None, :] & present[None, :, :] & ~itself[:, :, None]
        sums, counts = torch.where(both, loss, 0.0).sum(dim=2), both.sum(dim=2)
    return 0.5 * averaged(sums, counts, rows, average, share)
