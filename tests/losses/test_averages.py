"""How sums over items with gaps become means."""

import pytest
import torch

from octis_m3l.losses import averaged, averaged_over_views
from octis_m3l.losses.averages import Average


def test_every_item_or_every_view_weighs_the_same() -> None:
    losses = [torch.tensor([3.0, 5.0, 1.0, 3.0]), torch.tensor([10.0])]
    counts = torch.tensor([len(some) for some in losses])
    sums = torch.stack([some.sum() for some in losses])
    assert averaged(sums, counts, 6, "present").item() == pytest.approx(3.0 + 10.0)
    assert averaged(sums, counts, 6, "pooled", 0.5).item() == pytest.approx(22.0 / 3)
    assert averaged(sums, counts, 6, "batch").item() == pytest.approx(22.0 / 6)
    assert averaged_over_views(losses, 6, "present").item() == pytest.approx(3.0 + 10.0)
    assert averaged_over_views(losses, 6, "pooled", 0.5).item() == pytest.approx(22.0 / 3)


@pytest.mark.parametrize("average", ["pooled", "present", "batch"])
def test_a_term_without_items_changes_nothing(average: Average) -> None:
    sums, counts = torch.tensor([4.0, 9.0]), torch.tensor([2, 5])
    with_it = averaged(
        torch.cat([sums, torch.zeros(1)]), torch.cat([counts, torch.zeros(1)]), 6, average, 0.3
    )
    assert with_it.item() == pytest.approx(averaged(sums, counts, 6, average, 0.3).item())
