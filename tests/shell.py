"""Types of the fixtures that run commands."""

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]
