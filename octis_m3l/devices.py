"""Which device of torch a name means."""

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
