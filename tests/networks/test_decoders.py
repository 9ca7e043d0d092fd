"""Decoders: their loss in one step beside three one after another, and the published topics."""

import numpy as np
import pytest
import torch
from plain import sparse_rows
from torch import nn

from octis_m3l.data.batches import SparseRows
from octis_m3l.losses import reconstruction
from octis_m3l.networks import TopicDecoder
from octis_m3l.networks.decoders import decoded_loss
from octis_m3l.networks.inference import ShiftedBatchNorm


def norm(shifted: bool) -> nn.BatchNorm1d:
    made = ShiftedBatchNorm(40, 1e-3) if shifted else nn.BatchNorm1d(40, affine=False)
    if shifted:
        nn.init.normal_(made.bias, generator=torch.Generator().manual_seed(1))
    return made.double()


@pytest.mark.parametrize("rows", [9, 2000])
@pytest.mark.parametrize("shifted", [True, False])
def test_is_the_three_steps_with_their_gradients_and_statistics(shifted: bool, rows: int) -> None:
    random = torch.Generator().manual_seed(0)
    values = torch.randn(rows, 40, dtype=torch.float64, generator=random) * 3 + 1
    counts = torch.poisson(torch.full((rows, 40), 0.3, dtype=torch.float64), generator=random)
    counts[4] = 0
    words = sparse_rows(counts)
    weights = torch.randn(rows, dtype=torch.float64, generator=random)
    found = []
    for fused in (True, False):
        one = norm(shifted)
        given = values.clone().requires_grad_()
        for _ in range(2):
            lost = decoded_loss(given, one, words) if fused else reconstruction(one(given), words)
        (lost * weights).sum().backward()  # type: ignore[no-untyped-call]
        learned = [] if one.bias is None else [one.bias.grad]
        found.append([lost.detach(), given.grad, *learned, *one.buffers()])
        one.eval()
        found[-1].append(decoded_loss(given, one, words).detach())
    assert len(found[0]) == len(found[1]) == 6 + shifted
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_a_word_may_have_several_entries_in_a_row() -> None:
    values = torch.randn(4, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(4, dtype=torch.float64)
    rows, columns = torch.tensor([0, 0, 1, 3]), torch.tensor([2, 2, 5, 7])
    several = SparseRows(rows, columns, ones, torch.tensor([2.0, 1.0, 0.0, 1.0]).double())
    dense = several.dense(40)
    gradients = []
    for words in (several, sparse_rows(dense)):
        given = values.clone().requires_grad_()
        decoded_loss(given, norm(True), words).sum().backward()  # type: ignore[no-untyped-call]
        gradients.append(given.grad)
    np.testing.assert_allclose(*gradients, rtol=1e-10, atol=1e-12)


def test_single_precision_keeps_six_digits_of_unlikely_words() -> None:
    random = torch.Generator().manual_seed(0)
    values = torch.randn(64, 40, generator=random)
    values[0, 3] = -1e4
    counts = torch.zeros(64, 40)
    counts[0, 3] = counts[5, 5] = 1.0
    found = decoded_loss(values, nn.BatchNorm1d(40, affine=False), sparse_rows(counts))
    wide = nn.BatchNorm1d(40, affine=False).double()
    expected = reconstruction(wide(values.double()), sparse_rows(counts.double()))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_what_has_no_gradient_is_refused() -> None:
    with pytest.raises(ValueError, match="expected two, given one"):
        decoded_loss(torch.randn(1, 40), norm(True).float(), sparse_rows(torch.ones(1, 40)))
    given = torch.randn(4, 40, dtype=torch.float64).requires_grad_()
    words = sparse_rows(torch.ones(4, 40, dtype=torch.float64))
    lost = decoded_loss(given, norm(True), words).sum()
    lost.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    with pytest.raises(RuntimeError, match="taken already"):
        lost.backward()  # type: ignore[no-untyped-call]


def test_the_forms_of_the_published_topics() -> None:
    random = torch.Generator().manual_seed(1)
    net = TopicDecoder(3, 7).double()
    with torch.no_grad():
        net.beta.normal_(std=2.0, generator=random)
    theta = torch.randn(20, 3, generator=random, dtype=torch.float64).softmax(dim=1)
    for _ in range(60):
        net.batch_norm(theta @ net.beta)
    beta, mean = net.beta.detach(), (theta @ net.beta).mean(dim=0).detach()
    torch.testing.assert_close(net.topic_word_matrix(), beta.softmax(dim=1))
    assert not net.topic_word_matrix().requires_grad
    torch.testing.assert_close(net.topic_word_matrix("beta"), net.topic_word_matrix())
    centred = (beta - mean).softmax(dim=1)
    torch.testing.assert_close(net.topic_word_matrix("centred"), centred, rtol=1e-2, atol=1e-3)
    net.eval()
    normalised = net.batch_norm(net.beta).softmax(dim=1)
    torch.testing.assert_close(net.topic_word_matrix("batch-normalised"), normalised)
