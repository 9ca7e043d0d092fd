"""From an embedding, or a bag of words, to the posterior over topics."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from contextualized_topic_models.networks.inference_network import ContextualInferenceNetwork
from torch import Tensor, nn
from torch.nn import functional

from octis_m3l.data.batches import SparseRows
from octis_m3l.networks.view_modules import ViewModules

Posterior = Literal["ctm", "free-variance", "free"]
Activation = Literal["softplus", "relu"]
Drop = Callable[[Tensor], Tensor]

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


def batch_normalised(norm: nn.Module, values: Tensor, present: Tensor | None) -> Tensor:
    """Return what a module returns; if it is batch normalisation, by the rows that are present.

    The others count as the mean. Fewer than two rows change no running statistics.
    """
    if present is None or not norm.training or not isinstance(norm, nn.BatchNorm1d):
        return cast(Tensor, norm(values))
    weights = present.to(values.dtype)[:, None]
    count = weights.sum()
    mean = (values * weights).sum(dim=0) / count.clamp(min=1)
    # Normalised by the statistics of others, absent rows could overflow.
    centred = torch.where(present[:, None], values - mean, 0.0)
    variance = centred.square().sum(dim=0) / count.clamp(min=1)
    with torch.no_grad():
        share = (norm.momentum or 0.0) * (count > 1)
        unbiased = variance * count / (count - 1).clamp(min=1)
        for running, found in ((norm.running_mean, mean), (norm.running_var, unbiased)):
            assert running is not None
            running.add_(share * (found - running))
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(count > 1)
    normalised = centred * (variance + norm.eps).rsqrt()
    if norm.weight is not None:
        normalised = normalised * norm.weight + norm.bias
    return normalised


class InferenceNetwork(ContextualInferenceNetwork):  # type: ignore[misc]
    """contextualized-topic-models' network, with a choice of posterior.

    Parameters
    ----------
    dimensions, topics : int
        D, the size of the embeddings, and K.
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
        activation: Activation = "softplus",
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

    def forward(
        self, embeddings: Tensor, drop: Drop | None = None, present: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of each row (rows × K) of standardised embeddings.

        `drop` replaces the network's own dropout; `present` says which rows are items, if not all.
        """
        hidden = self.hiddens(self.activation(self.input_layer(embeddings)))
        hidden = (drop or self.dropout_enc)(hidden)
        mean = batch_normalised(self.f_mu_batchnorm, self.f_mu(hidden), present)
        return mean, batch_normalised(self.f_sigma_batchnorm, self.f_sigma(hidden), present)


class SparseLinear(nn.Module):
    """y = xW + b for sparse rows x: like nn.Linear, computed from the words that occur."""

    def __init__(self, words: int, units: int) -> None:
        super().__init__()
        # The same distribution as nn.Linear's.
        bound = 1.0 / math.sqrt(words)
        self.weight = nn.Parameter(torch.empty(words, units).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(units).uniform_(-bound, bound))

    def forward(self, given: SparseRows) -> Tensor:
        """Return y (rows × units); a word may have several entries in a row of x."""
        if given.width is None:
            lengths = torch.bincount(given.rows, minlength=len(given.totals))
        else:
            lengths = torch.full_like(given.totals, given.width, dtype=torch.int64)
        sums = functional.embedding_bag(
            given.words,
            self.weight,
            lengths.cumsum(0) - lengths,
            mode="sum",
            per_sample_weights=given.counts,
        )
        return sums + self.bias


class ShiftedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation with a learned shift and a scale fixed at 1.

    References
    ----------
    Wu et al. (2020), NMTM; Wu et al. (2023), InfoCTM; Phat et al. (2026), GloCTM.
    """

    def __init__(self, columns: int, epsilon: float = 1e-5) -> None:
        super().__init__(columns, eps=epsilon)
        self.weight.requires_grad_(False)


class ViewBatchNorm(nn.Module):
    """The same for several views: a common shift, and running statistics for each view.

    In training every batch is of one view and normalised by itself. If the running statistics
    were shared, as in the released code, a new document would be normalised by those of the view
    that came last.
    """

    def __init__(self, columns: int, views: Sequence[str], epsilon: float = 1e-5) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(columns))
        self.of_view = ViewModules(
            {name: nn.BatchNorm1d(columns, eps=epsilon, affine=False) for name in views}
        )

    def forward(self, values: Tensor, view: str) -> Tensor:
        """Return the normalised columns."""
        return cast(Tensor, self.of_view[view](values) + self.bias)


class BagOfWordsNetwork(ContextualInferenceNetwork):  # type: ignore[misc]
    """contextualized-topic-models' network, reading sparse bags of words.

    As in NMTM, InfoCTM and GloCTM; arguments as for `InferenceNetwork`. ``epsilon`` is added to
    the variance in batch normalisation; ``views`` are those that share this network, if several.
    """

    def __init__(
        self,
        words: int,
        topics: int,
        hidden_sizes: tuple[int, ...],
        *,
        activation: Activation = "softplus",
        dropout: float = 0.0,
        epsilon: float = 1e-5,
        views: Sequence[str] = (),
    ) -> None:
        super().__init__(0, 1, topics, hidden_sizes, activation, dropout)
        self.input_layer: nn.Module = SparseLinear(words, hidden_sizes[0])
        for norm in ("f_mu_batchnorm", "f_sigma_batchnorm"):
            one = ViewBatchNorm(topics, views, epsilon) if views else None
            setattr(self, norm, one or ShiftedBatchNorm(topics, epsilon))

    def forward(self, words: SparseRows, drop: Drop | None = None) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of each row (rows × K)."""
        return self.upper(self.input_layer(words), drop=drop)

    def upper(self, first: Tensor, *view: str, drop: Drop | None = None) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² (rows × K) from the first layer's output, before its activation.

        `view` is the rows' view, if several views share the network; `drop` replaces its dropout.
        """
        hidden = (drop or self.dropout_enc)(self.hiddens(self.activation(first)))
        mean: Tensor = self.f_mu_batchnorm(self.f_mu(hidden), *view)
        return mean, self.f_sigma_batchnorm(self.f_sigma(hidden), *view)


def sample_topics(mean: Tensor, log_variance: Tensor, noise: Tensor | None = None) -> Tensor:
    """Return θ = softmax(μ + σ·ε) (… × rows × K); without ε, with torch's global random state."""
    noise = torch.randn_like(mean) if noise is None else noise
    return (mean + (0.5 * log_variance).exp() * noise).softmax(dim=-1)


@torch.no_grad()
def expected_topics(mean: Tensor, log_variance: Tensor, samples: int, seed: int) -> Tensor:
    """Return θ (rows × K) averaged over samples; 0 samples give softmax(μ).

    All rows share the same noise (common random numbers), so that a document gets the same answer
    alone, in a batch, and in any order.
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
