"""Centred kernel alignment beside the slow definition."""

import numpy as np
import pytest
import torch

from octis_m3l.losses import cka_loss


def slow(first: np.ndarray, second: np.ndarray) -> float:
    """Return the loss from Gram matrices, centred by the centring matrix."""
    rows = len(first)
    centring = np.eye(rows) - 1.0 / rows
    one, other = (centring @ (m @ m.T) @ centring for m in (first, second))

    def dot(a: np.ndarray, b: np.ndarray) -> float:
        return sum(float(a[i, j] * b[i, j]) for i in range(rows) for j in range(rows))

    linear = dot(one, other) / np.sqrt(dot(one, one) * dot(other, other))
    return float(1.0 - np.sqrt(linear))


@pytest.mark.parametrize(("rows", "wide", "other"), [(9, 3, 4), (5, 20, 3), (4, 2, 30), (6, 6, 6)])
def test_it_is_the_root_of_linear_cka(rows: int, wide: int, other: int) -> None:
    random = np.random.default_rng(rows)
    first, second = random.normal(size=(rows, wide)) + 3, random.normal(size=(rows, other)) - 1
    found = cka_loss(torch.tensor(first), torch.tensor(second))
    assert found.shape == ()
    assert float(found) == pytest.approx(slow(first, second), rel=1e-9)


def test_what_does_not_vary_is_unlike_and_has_a_finite_gradient() -> None:
    first = torch.ones(6, 3, requires_grad=True)
    loss = cka_loss(first, torch.randn(6, 2, generator=torch.Generator().manual_seed(0)))
    assert float(loss.detach()) == pytest.approx(1.0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert first.grad is not None
    assert torch.isfinite(first.grad).all()


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_rows_of_one_document_twice_have_a_finite_gradient(scale: float) -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, generator=random, requires_grad=True)
    for vectors in (torch.ones(2, 3), torch.randn(2, 9, generator=random)):
        loss = cka_loss(logits.softmax(dim=1), scale * vectors)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(gradient).all()
        assert loss.dtype == torch.float32


@pytest.mark.parametrize("columns", [3, 12])
def test_its_gradient(columns: int) -> None:
    random = torch.Generator().manual_seed(1)
    arguments = [
        torch.randn(6, size, generator=random, dtype=torch.float64, requires_grad=True)
        for size in (3, columns)
    ]
    assert torch.autograd.gradcheck(cka_loss, arguments)
