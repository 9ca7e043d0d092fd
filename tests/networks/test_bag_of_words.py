"""Networks on bags of words: batch normalisation that the cross-lingual line has."""

import numpy as np
import pytest
import torch
from torch import nn

from octis_m3l.networks.bag_of_words import ShiftedBatchNorm, ViewBatchNorm, WideBatchNorm


def test_wide_batch_norm_is_torchs_with_its_gradients() -> None:
    torch.manual_seed(0)
    values = torch.randn(9, 40, dtype=torch.float64) * 3 + 1
    weights = torch.randn(9, 40, dtype=torch.float64)
    found = []
    for kind in (WideBatchNorm, ShiftedBatchNorm):
        norm = kind(40, 1e-3).double()
        nn.init.normal_(norm.bias, generator=torch.Generator().manual_seed(1))
        given = values.clone().requires_grad_()
        for _ in range(2):
            said = norm(given)
        (said.log_softmax(dim=1) * weights).sum().backward()  # type: ignore[no-untyped-call]
        trained = [said.detach(), given.grad, norm.bias.grad, *norm.buffers()]
        assert norm.weight.grad is None
        found.append([*trained, norm.eval()(values)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=1e-9, atol=1e-12)


def test_wide_batch_norm_refuses_one_row() -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        WideBatchNorm(4)(torch.randn(1, 4))


def test_every_view_has_statistics_of_its_own_and_one_shift() -> None:
    torch.manual_seed(0)
    norm = ViewBatchNorm(3, ["en", "half"])
    batches = {"en": torch.randn(50, 3) + 5, "half": torch.randn(50, 3) - 5}
    for _ in range(100):
        for view, values in batches.items():
            norm(values, view)
    nn.init.constant_(norm.bias, 2.0)
    norm.eval()
    for view, values in batches.items():
        np.testing.assert_allclose(norm(values, view).mean(dim=0).detach(), 2.0, atol=1e-3)
    assert [name for name, _ in norm.named_parameters()] == ["bias"]
