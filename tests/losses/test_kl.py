"""Kullback-Leibler divergence beside torch.distributions."""

import pytest
import torch
from plain import divergence, plain_kl
from torch import Tensor

from octis_m3l.losses import kl_between_gaussians, kl_between_views
from octis_m3l.losses.averages import Average
from octis_m3l.losses.kl import Pairs


def gaussians(*shape: int, seed: int = 0) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=random, dtype=torch.float64) for _ in range(2)]


@pytest.mark.parametrize("second", [(7, 5), (5,)])
def test_it_is_that_of_torch_distributions(second: tuple[int, ...]) -> None:
    one, other = gaussians(7, 5), gaussians(*second, seed=1)
    expected = divergence(*one, *other)
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
    rows = [
        {str(v): {i: of[v, i] for i in range(4) if present[v, i]} for v in range(3)}
        for of in (mean, log_variance)
    ]
    expected = plain_kl(*rows, pairs=pairs, average=average, rows=4, share=0.7)
    for there in (present,) if gaps else (present, None):
        found = kl_between_views(mean, log_variance, there, pairs=pairs, average=average, share=0.7)
        assert float(found) == pytest.approx(float(expected))
