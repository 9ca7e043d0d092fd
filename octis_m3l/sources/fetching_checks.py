"""What may be asked, and with which settings."""

import math
from numbers import Real
from urllib.parse import urlsplit

from octis_m3l.errors import SettingsError
from octis_m3l.sources.fetching_answers import shown
from octis_m3l.sources.fetching_errors import FetchError


def check_numbers(retries: int, timeout: float, **seconds: float) -> None:
    """Check a fetcher's numbers."""
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise SettingsError(f"retries={retries}: expected a whole number, 0 or more.")
    for name, value in seconds.items():
        if not (_is_finite(value) and value >= 0):
            raise SettingsError(f"{name}={value}: expected seconds, 0 or more.")
    if not (_is_finite(timeout) and timeout > 0):
        raise SettingsError(f"timeout={timeout}: expected seconds, more than 0.")


def check_address(url: str) -> None:
    """Check that an address is one of http or https."""
    try:
        parts = urlsplit(url)
        good = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise FetchError(
            f"{shown(url)}: expected an address that starts with http:// or https:// and names a "
            "host."
        )


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
