"""Parameters of Dirichlet–multinomials, estimated from counts by Minka's fixed point."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from octis_m3l.sampling.kernels import Floats, Longs

# Beyond these, differences of ψ are rounding errors.
_LEAST, _MOST = 1e-6, 1e6
_TOLERANCE = 1e-5


def fit_asymmetric(
    pairs: Longs, weights: Longs, lengths: Longs, alpha: Floats, *, steps: int = 50
) -> Floats:
    """Return the α, one of each topic, that maximises the likelihood of documents' topic counts.

    α_k ← α_k Σ_d [ψ(n_dk + α_k) − ψ(α_k)] / Σ_d [ψ(N_d + Σα) − ψ(Σα)], repeated until no α changes
    by more than 10⁻⁵ of the largest (Minka 2000, Estimating a Dirichlet distribution, equation 55;
    Wallach et al. 2009). `pairs` are the distinct pairs (k, n_dk), `weights` how often each occurs.
    """
    if not len(pairs):
        return alpha
    sizes, documents = np.unique(lengths, return_counts=True)
    topics, counts = pairs[:, 0], pairs[:, 1]
    for _ in range(steps):
        total = alpha.sum()
        gained = weights * (digamma(counts + alpha[topics]) - digamma(alpha[topics]))
        numerator = np.bincount(topics, weights=gained, minlength=len(alpha))
        denominator = (documents * (digamma(sizes + total) - digamma(total))).sum()
        updated = np.clip(alpha * numerator / denominator, _LEAST, _MOST)
        change = np.abs(updated - alpha).max()
        alpha = updated
        if change < _TOLERANCE * alpha.max():
            break
    return alpha


def fit_symmetric(
    counts: NDArray[np.int32], totals: Longs, size: int, eta: float, *, steps: int = 50
) -> float:
    """Return the η that maximises the likelihood of topics' word counts.

    η ← η Σ_kw [ψ(n_kw + η) − ψ(η)] / (V Σ_k [ψ(n_k + Vη) − ψ(Vη)]): equation 55 with all parameters
    equal. `counts` are the n_kw above 0, `totals` the n_k, `size` is V.
    """
    if not len(counts):
        return eta
    values, number = np.unique(counts, return_counts=True)
    for _ in range(steps):
        numerator = (number * (digamma(values + eta) - digamma(eta))).sum()
        denominator = size * (digamma(totals + size * eta) - digamma(size * eta)).sum()
        updated = min(max(float(eta * numerator / denominator), _LEAST), _MOST)
        change, eta = abs(updated - eta), updated
        if change < _TOLERANCE * eta:
            break
    return eta
