"""Plain transcriptions of losses, in loops over rows and pairs, that ours are compared with."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations, product
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import softplus

from octis_m3l.data.batches import Batch, SparseRows

# The vector of each row that a view has.
Rows = Mapping[int, Tensor]


def sparse_rows(counts: Any) -> SparseRows:
    """Return dense counts as the sparse rows that networks and losses read."""
    dense = torch.as_tensor(counts)
    rows, words = dense.nonzero(as_tuple=True)
    return SparseRows(rows, words, dense[rows, words], dense.sum(dim=1))


def loss_and_noise(network: Any, batch: Batch) -> dict[str, float]:
    """Return the terms of the loss; the next noise drawn is what they saw."""
    state = torch.random.get_rng_state()
    terms = {name: float(term.detach()) for name, term in network.loss(batch).items()}
    torch.random.set_rng_state(state)
    return terms


def normalised(values: Tensor, shift: Tensor | float = 0.0, epsilon: float = 1e-5) -> Tensor:
    """Return batch-normalised values, shifted."""
    variance, mean = torch.var_mean(values, dim=0, unbiased=False)
    return (values - mean) / (variance + epsilon).sqrt() + shift


def sampled(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Draw θ."""
    return (mean + (0.5 * log_variance).exp() * torch.randn_like(mean)).softmax(1)


def reconstruction(logits: Tensor, counts: Tensor) -> Tensor:
    """Return the cross entropy of each row."""
    return -(counts * logits.log_softmax(1)).sum(1)


def divergence(mean: Tensor, log_variance: Tensor, other: Tensor, others: Tensor) -> Tensor:
    """Return KL(one ‖ other) of the diagonal Gaussians in each row."""
    one, second = Normal(mean, (0.5 * log_variance).exp()), Normal(other, (0.5 * others).exp())
    return kl_divergence(one, second).sum(dim=-1)


def from_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(one ‖ the approximation of Dirichlet(1)) of each row."""
    topics = mean.shape[1]
    fixed = torch.full((topics,), math.log(1 - 1 / topics), dtype=mean.dtype)
    return divergence(mean, log_variance, torch.zeros_like(fixed), fixed)


def posterior_of_counts(
    encoder: Any, first: Any, counts: NDArray[Any], epsilon: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """Return μ and log σ² of dense counts, for a network of one hidden size and its first layer."""
    hidden = softplus(torch.from_numpy(counts) @ first.weight + first.bias)
    hidden = encoder.hiddens(hidden)
    return (
        normalised(encoder.f_mu(hidden), encoder.f_mu_batchnorm.bias, epsilon),
        normalised(encoder.f_sigma(hidden), encoder.f_sigma_batchnorm.bias, epsilon),
    )


def plain_vae(
    posterior: tuple[Tensor, Tensor],
    counts: NDArray[Any],
    beta: Tensor,
    decoder: Any,
    epsilon: float = 1e-5,
) -> tuple[float, float, Tensor]:
    """Return RL, KL to the prior, and θ."""
    theta = sampled(*posterior)
    logits = normalised(theta @ beta, decoder.batch_norm.bias, epsilon)
    lost = reconstruction(logits, torch.from_numpy(counts)).mean()
    return float(lost.detach()), float(from_prior(*posterior).mean().detach()), theta


def plain_mean(lost: Sequence[Tensor], average: str, rows: int, share: float) -> Tensor:
    """Return the mean of the loss of some rows or pairs."""
    count = {"present": len(lost), "pooled": rows * share, "batch": rows}[average]
    return torch.stack(list(lost)).sum() / count if lost else torch.zeros((), dtype=torch.float64)


def over_pairs(
    lost: Callable[[str, str, int], Tensor],
    vectors: Mapping[str, Rows],
    average: str,
    rows: int,
    share: float,
    pairs: str = "all-pairs",
) -> Tensor:
    """Return the sum of the mean losses of ordered pairs of views."""
    views, total = list(vectors), torch.zeros((), dtype=torch.float64)
    for a, b in permutations(views, 2):
        if pairs == "all-pairs" or views.index(b) < views.index(a):
            both = [lost(a, b, i) for i in vectors[a] if i in vectors[b]]
            total = total + plain_mean(both, average, rows, share)
    return total


def plain_kl(
    means: Mapping[str, Rows], log_variances: Mapping[str, Rows], **averaged: Any
) -> Tensor:
    """Return Σ KL(q_a ‖ q_b) over pairs of views."""

    def lost(a: str, b: str, i: int) -> Tensor:
        return divergence(means[a][i], log_variances[a][i], means[b][i], log_variances[b][i])

    return over_pairs(lost, means, **averaged)


def plain_info_nce(
    vectors: Mapping[str, Rows],
    temperature: float,
    similarity: str,
    negatives: str,
    **averaged: Any,
) -> Tensor:
    """Return half of Σ InfoNCE over ordered pairs of views."""

    def scores(anchor: Tensor, others: list[Tensor]) -> Tensor:
        stacked = torch.stack(others)
        if similarity == "cosine":
            anchor = anchor / anchor.square().sum().sqrt()
            stacked = stacked / stacked.square().sum(dim=1, keepdim=True).sqrt()
        return stacked @ anchor / temperature

    def lost(a: str, b: str, i: int) -> Tensor:
        anchor, other = vectors[a][i], vectors[b][i]
        rest = [j for j in range(averaged["rows"]) if j != i]
        if negatives == "printed":
            against = [
                scores(vectors[c][i], [vectors[d][j] for j in (i, *rest) if j in vectors[d]])
                for c, d in product(vectors, repeat=2)
                if i in vectors[c] and any(j in vectors[d] for j in (i, *rest))
            ]
        else:
            views = (a, b) if negatives == "both-views" else (b,)
            others = [vectors[view][j] for view in views for j in rest if j in vectors[view]]
            against = [scores(anchor, [other, *others])]
        return torch.cat(against).logsumexp(dim=0) - scores(anchor, [other])[0]

    return 0.5 * over_pairs(lost, vectors, **averaged)
