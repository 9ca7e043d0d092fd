"""Which device of torch a name means."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from octis_m3l.errors import SettingsError


def chosen_device(name: str) -> str:
    """Return the device of that name: for 'auto' CUDA where there is one, else the CPU.

    Parameters
    ----------
    name : str
        'auto', or what torch knows.

    Raises
    ------
    SettingsError
        If it is not there.
    """
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
    """Refuse a device that is not here, without touching it.

    Parameters
    ----------
    name : str
        'auto', or what torch knows.

    Raises
    ------
    SettingsError
        If it is none, or is not there.
    """
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


def each_device(names: Sequence[str], processes: int) -> list[str]:
    """Return the devices to give out to processes: of 'cuda' and 'auto', every card.

    Parameters
    ----------
    names : sequence of str
        As given.
    processes : int
        With one, 'cuda' is one card.
    """
    import torch

    there = torch.cuda.device_count()
    if processes > 1 and there > 1 and list(names) in (["cuda"], ["auto"]):
        return [f"cuda:{number}" for number in range(there)]
    return list(names)


@contextmanager
def on_device(name: str | None) -> Iterator[None]:
    """Make a CUDA device the one that torch takes by itself, for models that can't be told.

    Parameters
    ----------
    name : str, optional
        Anything else than a CUDA device changes nothing.
    """
    import torch

    if name is None or not name.startswith("cuda") or not torch.cuda.is_available():
        yield
        return
    with torch.cuda.device(name):
        yield
