"""Which device of torch a name means, and how many threads compute on the processor."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from octis_m3l.errors import SettingsError

MOST_THREADS = 1024
"""More than any machine makes use of; a million of them end the process."""
_LARGE = 2**23


def chosen_device(name: str) -> str:
    """Return the device of that name: for 'auto' CUDA where there is one, else the CPU."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=torch.device(name)).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise SettingsError(
            f"device='{name}' can't be used here ({str(error).splitlines()[0]}); use 'cpu', "
            "'auto', or one that torch lists."
        ) from None
    return name


def check_device_name(name: str) -> None:
    """Refuse a device that is not here, without touching it."""
    import torch

    if name == "auto":
        return
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(
            f"device='{name}' is none that torch knows; use 'cpu', 'auto', 'cuda', 'cuda:1', …"
        ) from None
    there = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= there:
        raise SettingsError(
            f"device='{name}' is not here: torch sees {there} CUDA device(s); use 'cpu' or 'auto'."
        )


def check_used(model: Any, names: Sequence[str] | None) -> None:
    """Refuse a device for a model class that computes on the processor only."""
    others = [name for name in names or () if name not in ("auto", "cpu")]
    if others and "device" not in model.settings_class.model_fields:
        raise SettingsError(
            f"{model.name} computes on the processor only: device='{others[0]}' would have no "
            "effect; leave it out."
        )


def each_device(names: Sequence[str], processes: int) -> list[str]:
    """Return the devices to give out to processes: of 'cuda' and 'auto', every card."""
    import torch

    there = torch.cuda.device_count()
    if processes > 1 and there > 1 and list(names) in (["cuda"], ["auto"]):
        return [f"cuda:{number}" for number in range(there)]
    return list(names)


@contextmanager
def on_device(name: str | None) -> Iterator[None]:
    """Make a CUDA device the one that torch takes by itself, for models that can't be told."""
    import torch

    if name is None or not name.startswith("cuda") or not torch.cuda.is_available():
        yield
        return
    with torch.cuda.device(name):
        yield


def checked_threads(threads: int | None) -> int | None:
    """Return the number of threads if it is one, or None."""
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise SettingsError(f"threads={threads}: expected 1 to {MOST_THREADS}.")
    return threads


@contextmanager
def on_threads(threads: int, numbers: int = 0) -> Iterator[None]:
    """Let torch and the linear algebra of numpy compute on so many threads for a while.

    How many there were before is put back afterwards, whatever happens in the block. Threads that
    wait for each other, as they do where other programs use the machine, can make small batches a
    hundred times slower; so 0 means one thread, unless a batch is large: then as many as torch
    has already (``torch.get_num_threads()``, which ``OMP_NUM_THREADS`` sets). The choice depends
    on sizes and settings alone, since the last digits of a sum depend on the number of threads.
    """
    import torch

    before = torch.get_num_threads()
    chosen = threads or (before if numbers >= _LARGE else 1)
    with _libraries(len(sys.modules)).limit(limits=chosen):
        torch.set_num_threads(chosen)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _libraries(modules: int) -> Any:
    """Return what sets the threads of the libraries that are loaded with so many modules."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
