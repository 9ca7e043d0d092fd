"""Kullback-Leibler divergence beside torch.distributions."""

from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from octis_m3l.losses import kl_between_gaussians, kl_between_views
from octis_m3l.losses.averages import Average
from octis_m3l.losses.kl import Pairs


def gaussians(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=random, dtype=dtype) for _ in range(2)]


def distribution(mean: Tensor, log_variance: Tensor) -> Independent:
    return Independent(Normal(mean, (0.5 * log_variance).exp()), 1)


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("topics", [1, 5])
def test_it_is_that_of_torch_distributions(rows: int, topics: int) -> None:
    first, second = gaussians(rows, topics), gaussians(rows, topics, seed=1)
    expected = kl_divergence(distribution(*first), distribution(*second))
    found = kl_between_gaussians(*first, *second)
    assert found.shape == (rows,)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_one_prior_serves_all_rows() -> None:
    rows, prior = gaussians(6, 4), gaussians(4, seed=1)
    expected = kl_divergence(distribution(*rows), distribution(*prior).expand((6,)))
    found = kl_between_gaussians(*rows, *prior)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_it_is_zero_from_itself_and_not_symmetric() -> None:
    first, second = gaussians(6, 4), gaussians(6, 4, seed=1)
    assert torch.equal(kl_between_gaussians(*first, *first), torch.zeros(6, dtype=torch.float64))
    there = kl_between_gaussians(*first, *second)
    back = kl_between_gaussians(*second, *first)
    assert (there > 0).all()
    assert (back > 0).all()
    assert not torch.isclose(there, back).any()


def test_single_precision_is_enough() -> None:
    first = gaussians(6, 4, dtype=torch.float32)
    second = gaussians(6, 4, seed=1, dtype=torch.float32)
    found = kl_between_gaussians(*first, *second)
    assert found.dtype == torch.float32
    exact = kl_between_gaussians(*(t.double() for t in (*first, *second)))
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-6)


def test_its_gradient() -> None:
    arguments = [t.requires_grad_() for t in (*gaussians(3, 4), *gaussians(3, 4, seed=1))]
    assert torch.autograd.gradcheck(kl_between_gaussians, arguments)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("average", ["present", "batch", "pooled"])
@pytest.mark.parametrize("pairs", ["all-pairs", "one-way"])
def test_between_views_it_is_a_loop_over_pairs(pairs: Pairs, average: Average, gaps: bool) -> None:
    mean, log_variance = gaussians(3, 4, 5)
    present = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 1], [0, 1, 1, 0]]).bool()
    if not gaps:
        present = torch.ones_like(present)
    expected = 0.0
    for a, b in permutations(range(3), 2):
        rows = [i for i in range(4) if present[a, i] and present[b, i]]
        if pairs == "one-way" and b > a:
            continue
        total = 0.0
        for i in rows:
            one, other = (
                Independent(Normal(mean[v, i], (0.5 * log_variance[v, i]).exp()), 1) for v in (a, b)
            )
            total += float(kl_divergence(one, other))
        expected += total / {"present": len(rows), "batch": 4, "pooled": 4 * 0.7}[average]
    options = {"pairs": pairs, "average": average, "share": 0.7}
    found = kl_between_views(mean, log_variance, present, **options)  # type: ignore[arg-type]
    assert float(found) == pytest.approx(expected)
    if not gaps:
        whole = kl_between_views(mean, log_variance, **options)  # type: ignore[arg-type]
        assert float(whole) == pytest.approx(expected)
