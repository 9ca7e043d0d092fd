"""Random numbers of training: functions of a run's seed, the epoch, the step and their purpose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

Kind = Literal["normal", "bits"]
"""Standard normal numbers, or whole numbers from −2¹⁵ to 2¹⁵ − 1, all as likely (int16)."""

_STEPS_AT_ONCE, _NUMBERS_AT_ONCE = 32, 2**18


def derive_seed(seed: int, *path: int) -> int:
    """Return a seed from 0 to 2³¹ − 1 for a call, a run or an epoch of a run with a seed ≥ 0."""
    return int(np.random.SeedSequence(seed, spawn_key=path).generate_state(1)[0] >> 1)


class Purpose(NamedTuple):
    """What random numbers are for: their distribution, a name, a view, and how many."""

    kind: Kind
    name: str
    view: str
    copies: int
    columns: int


class Numbers(Protocol):
    """The random numbers of one step."""

    def __call__(self, purpose: Purpose) -> Tensor:
        """Return the numbers for a purpose (copies × tuples of the largest batch × columns)."""


class Noise:
    """The random numbers of one epoch.

    Every number depends on the run's seed, the epoch, the step in it, what the number is for, the
    places of the view among the views and of the tuple in its batch, and the sizes of both. It
    depends neither on what else is drawn nor on which tuples have the view, so that a run sees the
    same numbers alone, in a stack of runs, and when it is resumed. Purposes need different names.

    Parameters
    ----------
    seed, epoch : int
        The seed of the run, and the number of the epoch.
    views : sequence of str
        The views of the batches.
    places : int
        The number of tuples in the largest batch.
    device : torch.device
        Where the numbers are drawn.
    """

    def __init__(
        self, seed: int, epoch: int, views: Sequence[str], places: int, device: torch.device
    ) -> None:
        self.seed = derive_seed(seed, epoch)
        self.number_of = {name: number for number, name in enumerate(views)}
        self.places = places
        self.device = device
        self._drawn: dict[Purpose, tuple[int, Tensor]] = {}

    def for_order(self) -> torch.Generator:
        """Return a generator for the order of an epoch's tuples, on the CPU."""
        return torch.Generator().manual_seed(self.seed)

    def numbers(self, step: int, purpose: Purpose) -> Tensor:
        """Return the numbers of a step for a purpose (copies × places × columns)."""
        block, place = divmod(step, self.steps_at_once(purpose))
        if purpose not in self._drawn or self._drawn[purpose][0] != block:
            self._drawn[purpose] = block, self.draw(block, purpose, self.empty(purpose))
        return self._drawn[purpose][1][place]

    def steps_at_once(self, purpose: Purpose) -> int:
        """Return for how many steps numbers are drawn together: one by one takes longer."""
        numbers = max(1, purpose.copies * self.places * purpose.columns)
        return min(_STEPS_AT_ONCE, max(1, _NUMBERS_AT_ONCE // numbers))

    def empty(self, purpose: Purpose) -> Tensor:
        """Return a tensor for the numbers of several steps (steps × copies × places × columns)."""
        steps = self.steps_at_once(purpose)
        shape = steps, purpose.copies, self.places, purpose.columns
        kind = torch.float32 if purpose.kind == "normal" else torch.int16
        return torch.empty(shape, dtype=kind, device=self.device)

    def draw(self, block: int, purpose: Purpose, into: Tensor) -> Tensor:
        """Draw the numbers of a block of steps into a tensor, and return it."""
        named = crc32(f"{purpose.kind} {purpose.name}".encode())
        seed = derive_seed(self.seed, block, named, self.number_of[purpose.view])
        generator = torch.Generator(self.device).manual_seed(seed)
        if purpose.kind == "normal":
            return into.normal_(generator=generator)
        # Four at a time: a generator takes as long for 16 bits as for 64.
        words = torch.empty(-(-into.numel() // 4), dtype=torch.int64, device=self.device)
        bits = words.random_(-(2**63), None, generator=generator).view(torch.int16)
        return into.copy_(bits[: into.numel()].view_as(into))


@dataclass(frozen=True)
class StepNoise:
    """The random numbers of one step of an epoch."""

    noise: Noise
    step: int

    def __call__(self, purpose: Purpose) -> Tensor:
        """Return the numbers for a purpose (copies × tuples of the largest batch × columns)."""
        return self.noise.numbers(self.step, purpose)
