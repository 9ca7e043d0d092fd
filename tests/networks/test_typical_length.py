"""Which bags of words are read as one of the mean length, and which stay as they are."""

import pytest
import torch

from octis_m3l.data.batches import SparseRows
from octis_m3l.networks import TypicalLength


def bags(*lengths: int) -> SparseRows:
    """Return rows of two words each, the first three times as frequent as the second."""
    totals = torch.tensor(lengths, dtype=torch.float32)
    counts = torch.stack([0.75 * totals, 0.25 * totals], dim=1).flatten()
    numbers = torch.arange(len(lengths))
    return SparseRows(
        numbers.repeat_interleave(2), torch.arange(2).repeat(len(lengths)), counts, totals
    )


@pytest.mark.parametrize(
    ("trained_on", "kept", "too_long"),
    [
        pytest.param([12, 16, 20], [0, 1, 20], [21, 3000], id="longer than all of them"),
        pytest.param([12] * 99 + [1200], [1, 12, 119], [120, 1200], id="five times the mean"),
    ],
)
def test_documents_that_are_too_long_are_read_as_one_of_the_mean_length(
    trained_on: list[int], kept: list[int], too_long: list[int]
) -> None:
    lengths = TypicalLength().train()
    for _ in range(2):
        for start in range(0, len(trained_on), 2):
            given = bags(*trained_on[start : start + 2])
            assert lengths(given) is given
    lengths.eval()
    given = bags(*kept, *too_long)
    found = lengths(given)
    few, entries = len(kept), 2 * len(kept)
    torch.testing.assert_close(found.totals[:few], given.totals[:few], rtol=0, atol=0)
    torch.testing.assert_close(found.counts[:entries], given.counts[:entries], rtol=0, atol=0)
    mean = sum(trained_on) / len(trained_on)
    expected = bags(*[1] * len(too_long)).counts * mean
    torch.testing.assert_close(found.counts[entries:], expected)
    torch.testing.assert_close(found.totals[few:], torch.full((len(too_long),), mean))


def test_weights_that_were_saved_without_lengths_scale_nothing() -> None:
    lengths = TypicalLength()
    lengths.load_state_dict({})
    given = bags(3, 30_000)
    assert lengths.eval()(given) is given
