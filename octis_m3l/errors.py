"""The errors that users see: each says what was given, what was expected and how to mend it."""

import re
from collections.abc import Collection
from difflib import get_close_matches

# C0 but tab and newline, C1, separators of lines and paragraphs, bidirectional embeddings,
# overrides and isolates, halves of surrogate pairs.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Return a text with control characters written as in JSON: ESC as \u001b.

    In a terminal they could colour, move, hide or reverse what is shown. Tabs, newlines and text
    that is written from right to left stay as they are.
    """
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class OctisM3LError(ValueError):
    """Anything that a user can mend; the command line prints it without a traceback."""

    def __str__(self) -> str:
        """Return the message, with control characters of what was given made visible."""
        return visible(super().__str__())


class DataError(OctisM3LError):
    """A data set, a view, a link or an item is not what it should be."""


class SettingsError(OctisM3LError):
    """A hyperparameter or an argument is misspelt or out of range."""


class StorageError(OctisM3LError):
    """A file or folder is missing, truncated, or of another kind."""


class OtherRunError(StorageError):
    """A checkpoint is of a run with other settings or data."""


class MissingDependencyError(OctisM3LError, ImportError):
    """An optional part is not installed; the message has the install command."""


def suggest(given: object, known: Collection[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for a near miss, and the list of known names."""
    given = str(given)
    close = get_close_matches(given, known, n=1) or [n for n in known if given and given in n]
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{hint} Known: {', '.join(sorted(known)) or 'none'}."
