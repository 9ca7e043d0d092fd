"""The steps of an epoch: batch by batch on a CPU, replayed as one graph on a GPU."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from octis_m3l.data.batches import Batch, Sampler
from octis_m3l.data.fixed_batches import FixedBatches
from octis_m3l.data.noise import Noise, Purpose
from octis_m3l.errors import DataError, warn
from octis_m3l.training.adam import Adam

# Before it is captured, a step must have run, so that libraries have set themselves up.
_EAGER_STEPS = 3


class Steps(ABC):
    """Trains a network for an epoch at a time.

    `untrained` is the loss of the first batch before any step, once there was one.
    """

    def __init__(self, network: nn.Module, sampler: Sampler, optimizer: Adam) -> None:
        self.network: Any = network
        self.sampler = sampler
        self.optimizer = optimizer
        self.untrained: Tensor | None = None

    @abstractmethod
    def epoch(self, noise: Noise) -> dict[str, float]:
        """Do the steps of an epoch, and return the mean of each term of the loss over tuples."""

    def step(self, batch: Batch) -> Mapping[str, Tensor]:
        """Do one step, and return the terms of its loss."""
        terms: Mapping[str, Tensor] = self.network.loss(batch)
        self.optimizer.zero_grad()
        # A small batch of tuples with many gaps may leave nothing to learn from.
        if terms and (loss := torch.stack(list(terms.values())).sum()).requires_grad:
            if self.untrained is None:
                self.untrained = loss.detach().clone()
            torch.autograd.backward(loss)
        self.optimizer.step()
        return terms


class EagerSteps(Steps):
    """Steps on batches that have rows for the items that there are, and none for others."""

    def epoch(self, noise: Noise) -> dict[str, float]:
        """Do the steps of an epoch, and return the mean of each term of the loss over tuples."""
        return mean_terms(self.sampler, noise, self.step)


def mean_terms(
    sampler: Sampler,
    noise: Noise,
    terms_of: Callable[[Batch], Mapping[str, Tensor]],
    *,
    shuffle: bool = True,
) -> dict[str, float]:
    """Go through all batches once, and return each term's mean over the tuples."""
    totals: dict[str, Tensor] = {}
    items = 0
    for batch in sampler.epoch(noise, shuffle=shuffle):
        for name, term in terms_of(batch).items():
            value = term.detach() * batch.size
            totals[name] = totals[name] + value if name in totals else value
        items += batch.size
    return {name: float(total) / items for name, total in totals.items()}


class FixedSteps(Steps):
    """Steps on batches of fixed shapes, which a GPU replays as one graph.

    Data, the order of an epoch, the number of the step and the sums of losses stay on the device,
    and nothing is read back before the end of an epoch. If a step can't be captured (a loss that
    reads a number back, say), the steps are done one by one, with a warning.
    """

    def __init__(
        self, network: nn.Module, sampler: Sampler, optimizer: Adam, *, captured: bool
    ) -> None:
        super().__init__(network, sampler, optimizer)
        self.batches = FixedBatches(sampler)
        self.captured = captured
        self._graphs: dict[int, Any] = {}
        self._done: dict[int, int] = {}
        device = sampler.device
        self._first = torch.zeros((), dtype=torch.int64, device=device)
        self._number = torch.zeros((), dtype=torch.int64, device=device)
        self._order = {n: items.clone() for n, items in sampler.draw(False, None).items()}
        self._totals: dict[str, Tensor] = {}
        self._drawn: dict[Purpose, Tensor] | None = None

    def epoch(self, noise: Noise) -> dict[str, float]:
        """Do the steps of an epoch, and return the mean of each term of the loss over tuples."""
        for name, items in self.sampler.draw(True, noise.for_order()).items():
            self._order[name].copy_(items)
        for counted in (self._first, self._number, *self._totals.values()):
            counted.zero_()
        if self._drawn is None:
            self._drawn = self._purposes(noise)
        for number, size in enumerate(self.batches.sizes()):
            for purpose, numbers in self._drawn.items():
                block, place = divmod(number, noise.steps_at_once(purpose))
                if not place:
                    noise.draw(block, purpose, numbers)
            self._run(size)
        return {name: float(total) / self.sampler.rows for name, total in self._totals.items()}

    def _purposes(self, noise: Noise) -> dict[Purpose, Tensor]:
        """Return what the loss needs random numbers for, found out by a copy of the network."""
        found: dict[Purpose, Tensor] = {}

        def recorded(purpose: Purpose) -> Tensor:
            found[purpose] = noise.empty(purpose)
            return noise.draw(0, purpose, found[purpose])[0]

        items = {name: of_view[: self.batches.sizes()[0]] for name, of_view in self._order.items()}
        with torch.no_grad():
            deepcopy(self.network).loss(self.batches.batch(items, recorded))
        return found

    def _run(self, size: int) -> None:
        """Do one step: three as they are, from then on by replaying them."""
        if not self.captured:
            self._step(size)
            return
        if size not in self._graphs:
            self._done[size] = self._done.get(size, 0) + 1
            if self._done[size] <= _EAGER_STEPS:
                on_side_stream(lambda: self._step(size))
                return
            try:
                self._graphs[size] = captured_graph(lambda: self._step(size))
            except RuntimeError as error:
                # The end of a capture that failed fails too, and hides the cause.
                said = str(error.__context__ or error).strip().splitlines()[0]
                self.captured = False
        if self.captured:
            self._graphs[size].replay()
            return
        warn(
            "training goes on step by step, which is slower: a step of this model can't be "
            f"captured as a CUDA graph ({said})."
        )
        self._step(size)

    def _step(self, size: int) -> None:
        places = self._first + torch.arange(size, device=self._first.device)
        items = {name: of_view[places] for name, of_view in self._order.items()}

        def numbers(purpose: Purpose) -> Tensor:
            assert self._drawn is not None
            drawn = self._drawn[purpose]
            return drawn[(self._number % len(drawn)).reshape(1)][0]

        for name, term in self.step(self.batches.batch(items, numbers)).items():
            if name not in self._totals:
                self._totals[name] = torch.zeros_like(term.detach())
            self._totals[name].add_(term.detach(), alpha=size)
        self._first.add_(size)
        self._number.add_(1)


def on_side_stream(step: Callable[[], None]) -> None:
    """Do a step on another stream than the default, as one must before capturing it."""
    stream = _side_stream()
    stream.wait_stream(torch.cuda.current_stream())
    try:
        with torch.cuda.stream(stream):
            step()
    finally:
        torch.cuda.current_stream().wait_stream(stream)


@cache
def _side_stream() -> Any:
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def captured_graph(step: Callable[[], None]) -> Any:
    """Return a CUDA graph of a step, which is recorded and not done."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph


def steps_of(network: nn.Module, sampler: Sampler, optimizer: Adam) -> Steps:
    """Return how to train a network: on a CUDA device by captured steps, if it can be."""
    if sampler.device.type != "cuda":
        return EagerSteps(network, sampler, optimizer)
    reason = None
    gaps = len(sampler.complete) < len(sampler.tensors)
    if gaps and not getattr(network, "takes_masks", False):
        reason = "its loss has no masks for missing items"
    if reason is None:
        try:
            return FixedSteps(network, sampler, optimizer, captured=True)
        except DataError as error:
            reason = str(error)
    warn(f"training is not captured as a CUDA graph, which is slower, since {reason}.")
    return EagerSteps(network, sampler, optimizer)
