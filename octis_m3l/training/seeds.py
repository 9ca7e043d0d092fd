"""Seeds: every random draw of a run follows from one number."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(seed: int, *path: int) -> int:
    """Return a seed from 0 to 2³¹ − 1 that depends on another seed and a path alone.

    Parameters
    ----------
    seed : int
        The run's seed, 0 or more.
    *path : int
        What the seed is for: a call, a run, an epoch.
    """
    return int(np.random.SeedSequence(seed, spawn_key=path).generate_state(1)[0] >> 1)


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Restore torch's global random state, of the CPU and of this device, after the block."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices, device_type="cuda"):
        yield
