"""A tiny network and a tiny data set, for tests of the loop."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from octis_m3l.data.batches import Batch, TupleSampler
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import TextView
from octis_m3l.training import History, LoopSettings

SIZES = (22, 9, 0)
BATCH = 8
STEPS = 3


def sampler(partition: str = "train", batch_size: int = BATCH) -> TupleSampler:
    """Return batches of documents of one word: three of training, two of validation."""
    count = sum(SIZES)
    embeddings = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    view = TextView(
        name="en",
        sizes=SIZES,
        vocabulary=("word",),
        token_ids=np.zeros(count, np.int32),
        offsets=np.arange(count + 1),
        embeddings=embeddings,
    )
    return TupleSampler(MultiviewDataset([view]), partition, {"en": embeddings}, batch_size)


class Toy(nn.Module):
    """A noisy autoencoder with dropout and batch norm, which Ctrl-C hits at a given call."""

    def __init__(self, seed: int = 0, stop_at: int | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.inner, self.outer = nn.Linear(4, 3), nn.Linear(3, 4)
        self.norm, self.dropout = nn.BatchNorm1d(3), nn.Dropout(0.3)
        self.stop_at, self.calls = stop_at, 0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return two terms."""
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        given = batch.views["en"].embeddings
        noisy = given + 0.1 * torch.randn_like(given) if self.training else given
        guess = self.outer(self.norm(self.inner(self.dropout(noisy))))
        error = (guess - given).square().sum(dim=1).mean()
        return {"error": error, "weight": 0.01 * self.inner.weight.square().sum()}


class Walker(nn.Module):
    """One number that grows at each step, beyond the one with the least validation loss."""

    def __init__(self, goal: float = 0.5, stop_at: float = np.inf) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(()))
        self.goal, self.stop_at = goal, stop_at

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return minus the number in training, and its distance from the goal in validation."""
        if self.place > self.stop_at:
            raise KeyboardInterrupt
        if self.training:
            return {"loss": -self.place}
        return {"loss": (self.place - self.goal).square()}


def differing(first: nn.Module, second: nn.Module) -> list[str]:
    """Return the names of the arrays in which two networks are not bit for bit the same."""
    ours, theirs = first.state_dict(), second.state_dict()
    assert ours.keys() == theirs.keys()
    return [name for name, value in ours.items() if not torch.equal(value, theirs[name])]


def without_time(history: History) -> dict[str, Any]:
    """Return a history without its duration."""
    return {name: value for name, value in vars(history).items() if name != "seconds"}


def loop(epochs: int = 5, **changes: Any) -> LoopSettings:
    """Return settings with a checkpoint after every epoch."""
    return LoopSettings(epochs, **({"learning_rate": 0.05, "checkpoint_seconds": 0.0} | changes))
