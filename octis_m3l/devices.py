"""What computes and who watches: torch's devices, threads of the processor, a person's terminal."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from octis_m3l.errors import SettingsError

MOST_THREADS = 1024
"""More than any machine can use; a million of them would end the process."""
_LARGE = 2**23


def chosen_device(name: str) -> str:
    """Return a device of torch that works; for 'auto' CUDA if there is a GPU, else the CPU."""
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
    """Refuse a device that this machine lacks, without starting CUDA."""
    import torch

    if name == "auto":
        return
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(
            f"device='{name}' is none that torch knows; use 'cpu', 'auto', 'cuda', 'cuda:1', …"
        ) from None
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise SettingsError(
            f"device='{name}' is not here: torch sees {count} CUDA device(s); use 'cpu' or 'auto'."
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
    """Return the devices for several processes: for 'cuda' and 'auto', every GPU."""
    import torch

    count = torch.cuda.device_count()
    if processes > 1 and count > 1 and list(names) in (["cuda"], ["auto"]):
        return [f"cuda:{number}" for number in range(count)]
    return list(names)


@contextmanager
def on_device(name: str | None) -> Iterator[None]:
    """Make a CUDA device torch's default, for models that have no setting for it."""
    import torch

    if name is None or not name.startswith("cuda") or not torch.cuda.is_available():
        yield
        return
    with torch.cuda.device(name):
        yield


def checked_threads(threads: int | None) -> int | None:
    """Return the number of threads, or refuse it."""
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise SettingsError(f"threads={threads}: expected 1 to {MOST_THREADS}.")
    return threads


@contextmanager
def on_threads(threads: int, numbers: int = 0) -> Iterator[None]:
    """Set the threads of torch and of numpy's linear algebra for the block.

    Threads that wait for each other, as they do when other programs use the machine, can make small
    batches a hundred times slower. So 0 means one thread unless a batch holds many `numbers`; then
    it means as many as torch has (``torch.get_num_threads()``, which ``OMP_NUM_THREADS`` sets). The
    choice depends on sizes and settings alone, because the last digits of a sum depend on the
    number of threads.
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
    """Return the controller of all loaded libraries; it is stale when more modules are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def is_watched() -> bool:
    """Return whether a person sees what goes to stderr: in a terminal or a notebook."""
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config
