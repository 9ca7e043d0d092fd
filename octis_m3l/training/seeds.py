"""Seeds: one number from which every random draw of a run follows."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(seed: int, *path: int) -> int:
    """Return a seed that follows from another and a path, and from nothing else.

    Parameters
    ----------
    seed : int
        The run's seed, 0 or more.
    *path : int
        What the seed is for: a call, a run, an epoch.

    Returns
    -------
    int
        From 0 to 2³¹ − 1.
    """
    return int(np.random.SeedSequence(seed, spawn_key=path).generate_state(1)[0] >> 1)


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Keep torch's global random state as it was, whatever the block draws.

    Parameters
    ----------
    device : torch.device
        The device that the block draws on beside the CPU.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices, device_type="cuda"):
        yield
