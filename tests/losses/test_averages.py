"""How sums over items with gaps become means."""

import pytest
import torch

from octis_m3l.losses import averaged
from octis_m3l.losses.averages import Average


@pytest.mark.parametrize("average", ["pooled", "present", "batch"])
def test_without_gaps_every_term_is_a_mean_over_the_batch(average: Average) -> None:
    total = averaged(torch.tensor([14.0, 3.5]), torch.tensor([7, 7]), 7, average)
    assert total.item() == pytest.approx(2.5)


def test_every_item_or_every_view_weighs_the_same() -> None:
    losses = [torch.tensor([3.0, 5.0, 1.0, 3.0]), torch.tensor([10.0]), torch.zeros(0)]
    counts = torch.tensor([len(some) for some in losses])
    sums = torch.stack([some.sum() for some in losses])
    assert averaged(sums, counts, 6, "present").item() == pytest.approx(3.0 + 10.0)
    pooled = averaged(sums, counts, 6, "pooled").item()
    assert pooled == pytest.approx(3 * torch.cat(losses).mean().item())
    assert averaged(sums, counts, 6, "batch").item() == pytest.approx(22.0 / 6)


@pytest.mark.parametrize("average", ["pooled", "present", "batch"])
def test_no_items_lose_nothing(average: Average) -> None:
    assert averaged(torch.zeros(2), torch.tensor([0, 0]), 4, average).item() == 0
