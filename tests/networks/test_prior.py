"""The prior: Laplace approximation of Dirichlet(1), fixed or learned."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from octis_m3l.networks import GaussianPrior, PriorForm

FORMS: tuple[PriorForm, ...] = ("fixed", "learned", "learned-variance")


def posterior(rows: int, topics: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, rows, topics, generator=random)
    return mean, log_variance


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("topics", [2, 50])
def test_it_starts_at_mean_zero_and_variance_one_minus_one_over_k(
    form: PriorForm, topics: int
) -> None:
    prior = GaussianPrior(topics, form)
    assert prior.mean.tolist() == [0.0] * topics
    torch.testing.assert_close(prior.log_variance.exp(), torch.full((topics,), 1 - 1 / topics))


@pytest.mark.parametrize("form", FORMS)
def test_the_divergence_is_from_the_posterior_to_the_prior(form: PriorForm) -> None:
    mean, log_variance = posterior(6, 4)
    found = GaussianPrior(4, form).divergence(mean, log_variance)
    prior = Independent(Normal(torch.zeros(4), torch.full((4,), 0.75).sqrt()), 1)
    q = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    torch.testing.assert_close(found, kl_divergence(q, prior.expand((6,))))


@pytest.mark.parametrize("form", FORMS)
def test_only_a_learned_one_is_trained_and_all_are_stored(form: PriorForm) -> None:
    prior = GaussianPrior(4, form)
    expected = [] if form == "fixed" else ["mean", "scale"]
    assert [name for name, _ in prior.named_parameters()] == expected
    assert sorted(prior.state_dict()) == ["mean", "scale"]
    mean, log_variance = posterior(6, 4)
    if expected:
        prior.divergence(mean, log_variance).sum().backward()
        for parameter in prior.parameters():
            assert parameter.grad is not None
            assert (parameter.grad != 0).all()


def test_a_learned_one_trains_the_logarithm_and_ctms_the_variance_itself() -> None:
    learned, raw = GaussianPrior(4, "learned"), GaussianPrior(4, "learned-variance")
    torch.testing.assert_close(raw.scale.detach(), torch.full((4,), 0.75))
    torch.testing.assert_close(learned.scale.detach(), torch.full((4,), 0.75).log())
    with torch.no_grad():
        learned.scale.fill_(-0.5)
        raw.scale.fill_(-0.5)
    mean, log_variance = posterior(6, 4)
    assert learned.divergence(mean, log_variance).isfinite().all()
    assert raw.divergence(mean, log_variance).isnan().all()
