"""Kullback–Leibler divergence between diagonal Gaussians."""

from torch import Tensor


def kl_between_gaussians(
    mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor
) -> Tensor:
    """Return KL(q_a ‖ q_b) of each row, for diagonal Gaussians q_a and q_b.

    ½ Σ_k [σ_a²/σ_b² + (μ_b − μ_a)²/σ_b² − 1 + log σ_b² − log σ_a²]

    Parameters
    ----------
    mean, log_variance : Tensor (rows × K)
        Mean μ_a and log σ_a² of the first.
    other_mean, other_log_variance : Tensor, broadcast to (rows × K)
        Mean μ_b and log σ_b² of the second.

    Returns
    -------
    Tensor (rows)
        In nats, never negative.
    """
    difference = other_log_variance - log_variance
    squares = (other_mean - mean).square() * (-other_log_variance).exp()
    return 0.5 * ((-difference).exp() + squares - 1.0 + difference).sum(dim=-1)
