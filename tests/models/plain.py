"""Plain transcriptions that the losses of several models are compared with."""

import math
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import softplus

from octis_m3l.data.batches import Batch


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


def divergence(mean: Tensor, log_variance: Tensor, other: Tensor, others: Tensor) -> Tensor:
    """Return KL(one ‖ other) of the diagonal Gaussians in each row."""
    one, second = Normal(mean, (0.5 * log_variance).exp()), Normal(other, (0.5 * others).exp())
    return kl_divergence(one, second).sum(dim=-1)


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
    """Return RL, KL to the prior of three topics, and θ."""
    mean, log_variance = posterior
    theta = (mean + (0.5 * log_variance).exp() * torch.randn_like(mean)).softmax(1)
    logits = normalised(theta @ beta, decoder.batch_norm.bias, epsilon)
    lost = -(torch.from_numpy(counts) * logits.log_softmax(1)).sum(1).mean()
    prior = torch.zeros(3).double(), torch.full((3,), math.log(2 / 3)).double()
    return float(lost), float(divergence(*posterior, *prior).mean()), theta
