"""From an embedding to the posterior over topics."""

from typing import Literal, cast

import torch
from contextualized_topic_models.networks.inference_network import ContextualInferenceNetwork
from torch import Tensor, nn

Posterior = Literal["ctm", "free-variance", "free"]

_LOG_VARIANCE_LIMIT = 6.0
# Larger values are cut off so that θ stays finite; it is noise there anyway.
_LARGEST_LOG_VARIANCE = 20.0


class _Bounded(nn.Module):
    """Keeps values between −limit and limit, and is almost the identity near 0."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, values: Tensor) -> Tensor:
        return self.limit * (values / self.limit).tanh()


class InferenceNetwork(ContextualInferenceNetwork):  # type: ignore[misc]
    """contextualized-topic-models' network, with a choice of posterior.

    Parameters
    ----------
    dimensions : int
        D, of the embeddings.
    topics : int
        K.
    hidden_sizes : tuple of int
        Units of each hidden layer.
    activation : {'softplus', 'relu'}
        Between layers.
    dropout : float
        After the last hidden layer. (contextualized-topic-models does not pass its argument on,
        so its dropout is always 0.2.)
    posterior : {'ctm', 'free-variance', 'free'}
        'ctm': μ and log σ² are batch-normalised without scale or shift, as in
        contextualized-topic-models, so that σ is about 1 for most documents and no posterior is
        narrow. 'free-variance': log σ² is a linear function, smoothly kept between −6 and 6 so
        that an outlier can't end training. 'free': additionally, μ has a learned scale and shift.
    """

    def __init__(
        self,
        dimensions: int,
        topics: int,
        hidden_sizes: tuple[int, ...],
        *,
        activation: Literal["softplus", "relu"] = "softplus",
        dropout: float = 0.2,
        posterior: Posterior = "free-variance",
    ) -> None:
        super().__init__(0, dimensions, topics, hidden_sizes, activation, dropout)
        if posterior != "ctm":
            self.f_sigma_batchnorm = _Bounded(_LOG_VARIANCE_LIMIT)
            nn.init.zeros_(self.f_sigma.weight)
            nn.init.zeros_(self.f_sigma.bias)
        if posterior == "free":
            self.f_mu_batchnorm = nn.BatchNorm1d(topics)

    def forward(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of each row (rows × K).

        Parameters
        ----------
        embeddings : Tensor (rows × dimensions)
            Standardised.
        """
        return cast(tuple[Tensor, Tensor], super().forward(None, embeddings))


def sample_topics(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Draw θ = softmax(μ + σ·ε), with torch's global random state.

    Parameters
    ----------
    mean, log_variance : Tensor (rows × K)
        The posterior.
    """
    noise = torch.randn_like(mean)
    return (mean + (0.5 * log_variance).exp() * noise).softmax(dim=-1)


def mean_sample(theta: Tensor, mean: Tensor, log_variance: Tensor, samples: int) -> Tensor:
    """Return the mean of a sample of θ and of further ones.

    Parameters
    ----------
    theta : Tensor (rows × K)
        The first sample, drawn from the posterior already.
    mean, log_variance : Tensor (rows × K)
        The posterior.
    samples : int
        How many samples the mean is over.
    """
    if samples == 1:
        return theta
    several = (samples - 1, *mean.shape)
    further = sample_topics(mean.expand(several), log_variance.expand(several))
    return (theta + further.sum(dim=0)) / samples


@torch.no_grad()
def expected_topics(mean: Tensor, log_variance: Tensor, samples: int, seed: int) -> Tensor:
    """Return θ averaged over samples; the answer for a row does not depend on other rows.

    All rows share the same noise (common random numbers), so that a document gets the same answer
    alone, in a batch, and in any order.

    Parameters
    ----------
    mean, log_variance : Tensor (rows × K)
        The posterior.
    samples : int
        S. 0 gives softmax(μ).
    seed : int
        Seed of the noise.

    Returns
    -------
    Tensor (rows × K)
    """
    if samples == 0:
        return mean.softmax(dim=-1)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(samples, mean.shape[1], generator=generator, dtype=torch.float64).to(mean)
    deviation = (0.5 * log_variance.clamp(max=_LARGEST_LOG_VARIANCE)).exp()
    total = torch.zeros_like(mean)
    for one in noise:
        total += (mean + deviation * one).softmax(dim=-1)
    return total / samples
