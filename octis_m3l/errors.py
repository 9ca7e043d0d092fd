"""Errors that users see: what was given, what was expected, and the remedy."""

import re
import sys
import warnings
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

# C0 except tab and newline, C1, line and paragraph separators, bidirectional embeddings, overrides
# and isolates, surrogates.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Return a text with control characters escaped as in JSON: ESC becomes \u001b.

    A terminal could otherwise colour, move, hide or reverse text. Tabs, newlines and text written
    from right to left stay unchanged.
    """
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class OctisM3LError(ValueError):
    """Anything that a user can correct; the command line prints it without a traceback."""

    def __str__(self) -> str:
        """Return the message with control characters escaped."""
        return visible(super().__str__())


class DataError(OctisM3LError):
    """A data set, a view, a link or an item is invalid."""


class SettingsError(OctisM3LError):
    """A hyperparameter or another argument is misspelt or out of range."""


class StorageError(OctisM3LError):
    """A file or folder is missing, damaged, or of another kind."""


class OtherRunError(StorageError):
    """A checkpoint belongs to a run with other settings or data."""


class MissingDependencyError(OctisM3LError, ImportError):
    """An optional dependency is not installed; the message has the install command."""


def suggest(given: object, known: Collection[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for a near miss, and the list of known names."""
    given = str(given)
    close = get_close_matches(given, known, n=1) or [n for n in known if given and given in n]
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{hint} Known: {', '.join(sorted(known)) or 'none'}."


def check_known(
    name: object, known: Collection[str], what: str, error: type[OctisM3LError] = DataError
) -> None:
    """Raise an error with a suggestion if a name is not among the known ones."""
    if not isinstance(name, str) or name not in known:
        raise error(f"unknown {what} '{name}'.{suggest(name, known)}")


def import_extra(module: str, extra: str, package: str | None = None, otherwise: str = "") -> Any:
    """Import a module of an optional package, or say how to install it."""
    try:
        return import_module(module)
    except ImportError:
        raise MissingDependencyError(
            f"this needs the package {package or module}, which is not installed. Install it with: "
            f'pip install "octis-m3l[{extra}]"{otherwise}.'
        ) from None


def first_few(items: Sequence[object], count: int = 5, between: str = ", ") -> str:
    """Return the first of some items, and … if there are more."""
    return between.join([*map(str, items[:count]), *(["…"] if len(items) > count else [])])


def warn(message: str) -> None:
    """Warn, at the line of the caller's own code that led into this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith(f"{__package__}."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
