"""Reconstruction from sparse words beside the dense formula."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from plain import sparse_rows
from torch import Tensor

from octis_m3l.losses import reconstruction

counts = st.tuples(st.integers(1, 5), st.integers(1, 6)).flatmap(
    lambda shape: arrays("float64", shape, elements=st.sampled_from([0.0, 0.0, 1.0, 2.0, 7.0]))
)


@settings(deadline=None)
@given(counts.map(torch.from_numpy))
def test_it_is_the_dense_cross_entropy_and_its_gradient(words: Tensor) -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(*words.shape, generator=random, dtype=torch.float64).requires_grad_()
    found = reconstruction(logits, sparse_rows(words))
    expected = -(words * logits.log_softmax(dim=1)).sum(dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    dense = words.sum(dim=1, keepdim=True) * logits.detach().softmax(dim=1) - words
    torch.testing.assert_close(gradient, dense, rtol=1e-12, atol=1e-12)
    empty = words.sum(dim=1) == 0
    assert not found[empty].any()
    assert not gradient[empty].any()


def test_large_logits_do_not_overflow() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4]])
    words = sparse_rows(torch.tensor([[0.0, 2.0, 1.0]]))
    assert reconstruction(logits, words).tolist() == [4e4]
