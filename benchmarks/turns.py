"""Several contenders in turn, each in a process of its own: none meets another's leftovers."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from typing import Any

import torch

Maker = Callable[..., tuple[Callable[[], Any], float]]
_contender: list[Any] = []


def in_turn(
    contenders: Mapping[str, tuple[Maker, tuple[Any, ...]]], repeats: int, threads: int = 1
) -> dict[str, list[float]]:
    """Return the seconds that each contender takes, repeat by repeat; a first one is not counted.

    CPU seconds on one thread, wall-clock seconds on several.

    Parameters
    ----------
    contenders : mapping of name to (maker, its arguments)
        The maker is called in the contender's process and returns what is timed, and what the
        seconds are multiplied by.
    repeats, threads : int
        How often, and torch's threads.
    """
    with ExitStack() as stack:
        pools = {
            name: stack.enter_context(
                ProcessPoolExecutor(1, get_context("spawn"), _begin, (*given, threads))
            )
            for name, given in contenders.items()
        }
        taken: dict[str, list[float]] = {name: [] for name in contenders}
        for repeat in range(repeats + 1):
            for name, pool in pools.items():
                seconds = pool.submit(_once, threads).result()
                if repeat:
                    taken[name].append(seconds)
    return taken


def _begin(maker: Maker, arguments: tuple[Any, ...], threads: int) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    _contender[:] = maker(*arguments)


def _once(threads: int) -> float:
    step, factor = _contender
    clock = time.process_time if threads == 1 else time.perf_counter
    started = clock()
    step()
    return (clock() - started) * float(factor)
