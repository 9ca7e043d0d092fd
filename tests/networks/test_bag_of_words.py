"""Networks on bags of words: batch normalisation that the cross-lingual line has."""

import numpy as np
import torch
from torch import nn

from octis_m3l.networks.bag_of_words import ViewBatchNorm


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
