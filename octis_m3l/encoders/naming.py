"""What an encoder is called on disk, and what it reads."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from octis_m3l.encoders.protocol import Encoder
from octis_m3l.errors import DataError


def has_fingerprint(encoder: Encoder) -> bool:
    """Return whether an encoder says which vectors are its own."""
    return callable(getattr(encoder, "fingerprint", None))


def fingerprint_hash(encoder: Encoder) -> str:
    """Return a SHA-256 of an encoder's fingerprint, whatever that is written like."""
    if not has_fingerprint(encoder):
        raise DataError(
            f"the encoder '{encoder.name}' has no fingerprint() that says which vectors are its "
            "own, so that they can't be kept; give it one, or leave out the cache."
        )
    fingerprinted: Any = encoder
    return hashlib.sha256(str(fingerprinted.fingerprint()).encode()).hexdigest()


def safe_name(encoder: Encoder) -> str:
    """Return an encoder's name, fit for a file's."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in encoder.name)
    return safe.strip("-._") or "encoder"


def embedding_name(encoder: Encoder) -> str:
    """Return what an encoder's vectors are called in a data set's folder."""
    short = safe_name(encoder)[:60]
    return f"{short}-{fingerprint_hash(encoder)[:8]}" if has_fingerprint(encoder) else short


@contextmanager
def shown(encoder: Encoder, progress: bool) -> Iterator[None]:
    """Set whether an encoder shows a progress bar of its own, for as long as the block lasts."""
    changeable: Any = encoder
    before = getattr(encoder, "progress", None)
    try:
        if before is not None:
            changeable.progress = progress
    except AttributeError:
        before = None
    try:
        yield
    finally:
        if before is not None:
            changeable.progress = before


def as_read(encoder: Encoder, items: Sequence[Any]) -> Sequence[Any]:
    """Return items as an encoder reads them: a str given to one of pictures is a path."""
    if getattr(encoder, "reads", None) != "picture":
        return items
    return [Path(item) if isinstance(item, str) else item for item in items]
