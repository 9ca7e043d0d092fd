"""Seeds, and the global random state."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from octis_m3l.training import derive_seed, reproducible


@given(st.integers(0, 2**64), st.lists(st.integers(0, 2**32 - 1), max_size=4))
def test_a_derived_seed_is_in_range_and_follows_from_seed_and_path(
    seed: int, path: list[int]
) -> None:
    found = derive_seed(seed, *path)
    assert type(found) is int
    assert 0 <= found < 2**31
    assert derive_seed(seed, *path) == found


def test_derived_seeds_stay_what_they_are_in_every_version() -> None:
    assert [derive_seed(0), derive_seed(0, 1), derive_seed(1, 0), derive_seed(7, 3, 2)] == [
        1484405855,
        336614359,
        820705584,
        2007262694,
    ]


def test_paths_and_seeds_lead_apart() -> None:
    found = {derive_seed(seed, a, b) for seed in range(5) for a in range(10) for b in range(10)}
    found |= {derive_seed(seed, a) for seed in range(5) for a in range(10)}
    assert len(found) == 550


def test_the_global_state_stays_as_it_was() -> None:
    state = torch.get_rng_state()
    with reproducible(torch.device("cpu")):
        torch.manual_seed(1)
        torch.randn(5)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(RuntimeError, match="stop"), reproducible(torch.device("cpu")):
        torch.manual_seed(2)
        raise RuntimeError("stop")
    assert torch.equal(torch.get_rng_state(), state)
