"""The prior: Laplace approximation of Dirichlet(1), fixed or learned."""

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from octis_m3l.networks import GaussianPrior, PriorForm


@pytest.mark.parametrize("topics", [2, 50])
@pytest.mark.parametrize(
    ("form", "stored"),
    [("fixed", None), ("learned", "logarithm"), ("learned-variance", "variance")],
)
def test_it_starts_at_the_approximation_and_learns_if_asked_to(
    form: PriorForm, stored: str | None, topics: int
) -> None:
    prior = GaussianPrior(topics, form)
    variance = torch.full((topics,), 1 - 1 / topics)
    assert prior.mean.tolist() == [0.0] * topics
    torch.testing.assert_close(prior.log_variance.exp(), variance)
    mean, log_variance = torch.randn(2, 6, topics, generator=torch.Generator().manual_seed(0))
    divergence = prior.divergence(mean, log_variance)
    of_prior = Independent(Normal(torch.zeros(topics), variance.sqrt()), 1)
    posterior = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    torch.testing.assert_close(divergence, kl_divergence(posterior, of_prior.expand((6,))))
    assert sorted(prior.state_dict()) == ["mean", "scale"]
    assert [name for name, _ in prior.named_parameters()] == (["mean", "scale"] if stored else [])
    if stored:
        scale = variance.log() if stored == "logarithm" else variance
        torch.testing.assert_close(prior.scale.detach(), scale)
        divergence.sum().backward()  # type: ignore[no-untyped-call]
        assert all((parameter.grad != 0).all() for parameter in prior.parameters())
