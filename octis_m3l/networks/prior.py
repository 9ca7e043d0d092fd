"""The prior over topics in softmax space."""

from typing import Literal

import torch
from torch import Tensor, nn

from octis_m3l.losses.kl import kl_between_gaussians

PriorForm = Literal["fixed", "learned", "learned-variance"]


class GaussianPrior(nn.Module):
    """Laplace approximation of Dirichlet(1): mean 0, variance 1 − 1/K.

    The form 'fixed' keeps both; 'learned' trains them, as mean and log σ²; 'learned-variance'
    trains σ² itself, as contextualized-topic-models does, and it can become negative.

    References
    ----------
    Srivastava & Sutton (2017), section 3.2.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, topics: int, form: PriorForm = "fixed") -> None:
        super().__init__()
        mean, variance = torch.zeros(topics), torch.full((topics,), 1.0 - 1.0 / topics)
        scale = variance if form == "learned-variance" else variance.log()
        self.form = form
        if form == "fixed":
            self.register_buffer("mean", mean)
            self.register_buffer("scale", scale)
        else:
            self.mean = nn.Parameter(mean)
            self.scale = nn.Parameter(scale)

    @property
    def log_variance(self) -> Tensor:
        """The logarithm of the prior's variance (K)."""
        return self.scale.log() if self.form == "learned-variance" else self.scale

    def divergence(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return KL(q ‖ prior) of each row of a posterior q (rows × K)."""
        return kl_between_gaussians(mean, log_variance, self.mean, self.log_variance)
