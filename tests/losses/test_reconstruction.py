"""Reconstruction from sparse words beside the dense formula."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from octis_m3l.data.batches import SparseRows
from octis_m3l.losses import reconstruction

counts = st.tuples(st.integers(1, 5), st.integers(1, 6)).flatmap(
    lambda shape: arrays("float64", shape, elements=st.sampled_from([0.0, 0.0, 1.0, 2.0, 7.0]))
)


def sparse(dense: Tensor) -> SparseRows:
    rows, words = dense.nonzero(as_tuple=True)
    return SparseRows(rows, words, dense[rows, words], dense.sum(dim=1))


def some_logits(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@settings(deadline=None)
@given(counts.map(torch.from_numpy))
def test_it_is_the_dense_cross_entropy(words: Tensor) -> None:
    logits = some_logits(*words.shape)
    expected = -(words * logits.log_softmax(dim=1)).sum(dim=1)
    found = reconstruction(logits, sparse(words))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert (found[words.sum(dim=1) == 0] == 0).all()


def test_its_gradient_is_the_dense_one_and_zero_for_an_empty_document() -> None:
    words = torch.tensor([[0.0, 2, 1], [0, 0, 0], [3, 0, 0]], dtype=torch.float64)
    logits = some_logits(3, 3).requires_grad_()
    reconstruction(logits, sparse(words)).sum().backward()
    expected = words.sum(dim=1, keepdim=True) * logits.detach().softmax(dim=1) - words
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(logits.grad[1], torch.zeros(3, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda x: reconstruction(x, sparse(words)), [logits])


def test_a_batch_of_empty_documents_has_no_loss() -> None:
    words = sparse(torch.zeros(2, 3, dtype=torch.float64))
    assert reconstruction(some_logits(2, 3), words).tolist() == [0.0, 0.0]


def test_large_logits_do_not_overflow() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4]])
    words = sparse(torch.tensor([[0.0, 2.0, 1.0]]))
    assert reconstruction(logits, words).tolist() == [4e4]
