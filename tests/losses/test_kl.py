"""Kullback-Leibler divergence beside torch.distributions."""

from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from octis_m3l.losses import kl_between_gaussians, kl_between_views
from octis_m3l.losses.averages import Average
from octis_m3l.losses.kl import Pairs


def gaussians(*shape: int, seed: int = 0) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=random, dtype=torch.float64) for _ in range(2)]


def distribution(mean: Tensor, log_variance: Tensor) -> Independent:
    return Independent(Normal(mean, (0.5 * log_variance).exp()), 1)


@pytest.mark.parametrize("second", [(7, 5), (5,)])
def test_it_is_that_of_torch_distributions(second: tuple[int, ...]) -> None:
    one, other = gaussians(7, 5), gaussians(*second, seed=1)
    expected = kl_divergence(distribution(*one), distribution(*other).expand((7,)))
    found = kl_between_gaussians(*one, *other)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    single = kl_between_gaussians(*(given.float() for given in (*one, *other)))
    torch.testing.assert_close(single, expected.float(), rtol=1e-5, atol=1e-6)
    arguments = [given.requires_grad_() for given in (*one, *other)]
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
            one, other = (distribution(mean[v, i], log_variance[v, i]) for v in (a, b))
            total += float(kl_divergence(one, other))
        expected += total / {"present": len(rows), "batch": 4, "pooled": 4 * 0.7}[average]
    for there in (present,) if gaps else (present, None):
        found = kl_between_views(mean, log_variance, there, pairs=pairs, average=average, share=0.7)
        assert float(found) == pytest.approx(expected)
