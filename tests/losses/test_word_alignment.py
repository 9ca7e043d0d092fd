"""InfoNCE of words against the dense formula with its masks."""

from importlib import import_module

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from octis_m3l.losses import word_alignment

MODULE = import_module("octis_m3l.losses.word_alignment")


def dense(first: Tensor, second: Tensor, forward: Tensor, backward: Tensor, tau: float) -> Tensor:
    """Return the loss as the paper's code writes it: masks of both whole vocabularies."""
    scores = functional.normalize(first, dim=1) @ functional.normalize(second, dim=1).T / tau
    total = torch.zeros((), dtype=first.dtype)
    for s, weights in ((scores, forward), (scores.T, backward.T)):
        likely = s.exp()
        negatives = (likely * (weights == 0)).sum(dim=1, keepdim=True)
        total = total - (weights * (s - (negatives + likely).log())).sum()
    return total / (forward.sum() + backward.sum())


@pytest.mark.parametrize("at_once", [1, 40, 2**20])
def test_equals_the_dense_formula_and_its_gradients(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "_SCORES_AT_ONCE", at_once)
    random = torch.Generator().manual_seed(0)
    first = torch.randn(17, 5, generator=random, dtype=torch.float64).requires_grad_()
    second = torch.randn(11, 5, generator=random, dtype=torch.float64).requires_grad_()
    forward = torch.poisson(torch.full((17, 11), 0.2).double(), generator=random)
    backward = torch.poisson(torch.full((17, 11), 0.2).double(), generator=random)
    forward[3] = 1.0  # A word whose positives are all there are.
    rows, columns = torch.nonzero(forward + backward, as_tuple=True)
    found = word_alignment(
        first,
        second,
        (rows, columns),
        forward[rows, columns],
        backward[rows, columns],
        temperature=0.2,
    )
    expected = dense(first, second, forward, backward, 0.2)
    assert found.item() == pytest.approx(expected.item(), rel=1e-10)
    ours = torch.autograd.grad(found, (first, second))
    theirs = torch.autograd.grad(expected, (first, second))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-12)


def planted() -> tuple[Tensor, Tensor, Tensor]:
    """Return words in tight clusters that are nearly all positives of each other."""
    random = torch.Generator().manual_seed(2)
    centres = torch.randn(10, 8, generator=random)
    theme = torch.arange(200) % 10
    first, second = (centres[theme] + 0.05 * torch.randn(200, 8, generator=random) for _ in "ab")
    weights = (theme[:, None] == theme[None, :]).float()
    weights[torch.arange(200), torch.randperm(200, generator=random)] += 1.0
    return first, second, weights


@pytest.mark.parametrize("temperature", [0.2, 0.025])
def test_gradients_hold_where_clusters_are_each_others_positives(temperature: float) -> None:
    first, second, forward = planted()
    rows, columns = torch.nonzero(forward, as_tuple=True)
    found: list[Tensor] = []
    expected: list[Tensor] = []
    for dtype, results in ((torch.float32, found), (torch.float64, expected)):
        one, other = (each.to(dtype).requires_grad_() for each in (first, second))
        weights = forward.to(dtype)
        if dtype == torch.float64:
            loss = dense(one, other, weights, weights, temperature)
        else:
            given = weights[rows, columns]
            loss = word_alignment(
                one, other, (rows, columns), given, given, temperature=temperature
            )
        gradients = torch.autograd.grad(loss, (one, other))
        results += [loss.detach().double(), *(each.double() for each in gradients)]
    assert float(found[0]) == pytest.approx(float(expected[0]), rel=1e-4)
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-3
