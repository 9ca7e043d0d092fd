"""Seeds, and the global random state."""

import pytest
import torch

from octis_m3l.training import derive_seed, reproducible


def test_derived_seeds_are_the_same_in_every_version_and_in_range() -> None:
    assert [derive_seed(0), derive_seed(0, 1), derive_seed(1, 0), derive_seed(7, 3, 2)] == [
        1484405855,
        336614359,
        820705584,
        2007262694,
    ]
    found = {derive_seed(seed, a, b) for seed in range(5) for a in range(10) for b in range(10)}
    found |= {derive_seed(seed, a) for seed in range(5) for a in range(10)}
    found |= {derive_seed(2**64, 2**32 - 1)}
    assert len(found) == 551
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in found)


def test_the_global_state_is_restored() -> None:
    state = torch.get_rng_state()
    with reproducible(torch.device("cpu")):
        torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(RuntimeError, match="stop"), reproducible(torch.device("cpu")):
        torch.manual_seed(2)
        raise RuntimeError("stop")
    assert torch.equal(torch.get_rng_state(), state)
