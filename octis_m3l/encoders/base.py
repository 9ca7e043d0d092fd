"""What an encoder is, which ones there are, and how the vectors of each are named."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from octis_m3l.errors import DataError
from octis_m3l.registry import Registry


@runtime_checkable
class Encoder(Protocol):
    """Turns items of one view into vectors. Any object with these members is an encoder."""

    @property
    def name(self) -> str:
        """The name of the encoder."""

    @property
    def dimensions(self) -> int:
        """The length of its vectors."""

    def encode(self, items: Any) -> NDArray[np.float32]:
        """Return one vector for each item (items × dimensions)."""


@runtime_checkable
class StoredEncoder(Encoder, Protocol):
    """An encoder that is saved with a model, as arrays and settings only."""

    kind: str

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return its arrays and its settings, which JSON must be able to hold."""

    @classmethod
    def restore(
        cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]
    ) -> "StoredEncoder":
        """Return the encoder with the arrays and settings that `state` returned."""


ENCODERS: Registry[Any] = Registry("octis_m3l.encoders", named_by="kind")
"""Encoders by kind: every class at the top level of a file of this folder with ``kind = "..."``."""


def check_is_encoder(given: Any, view: str) -> None:
    """Refuse a string or a class instead of an encoder."""
    if isinstance(given, str | type):
        raise DataError(
            f"the encoder of view '{view}' is {given!r}: expected an object; encoder_from makes "
            "one from a string, and calling a class makes one too."
        )


def has_fingerprint(encoder: Encoder) -> bool:
    """Return whether an encoder can tell its vectors from those of other encoders."""
    return callable(getattr(encoder, "fingerprint", None))


def fingerprint_hash(encoder: Any) -> str:
    """Return a SHA-256 of an encoder's fingerprint, which may be any text."""
    if not has_fingerprint(encoder):
        raise DataError(
            f"the encoder '{encoder.name}' has no method fingerprint() that identifies its "
            "vectors, so they can't be cached; add one, or pass cache=None."
        )
    return hashlib.sha256(str(encoder.fingerprint()).encode()).hexdigest()


def file_name(text: str) -> str:
    """Return a text as a file name of at most 100 letters, digits, '.', '_' and '-'."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:100] or "encoder"


def embedding_name(encoder: Encoder) -> str:
    """Return the name of an encoder's embeddings in the folder of a data set."""
    short = file_name(encoder.name)[:60]
    return f"{short}-{fingerprint_hash(encoder)[:8]}" if has_fingerprint(encoder) else short


@contextmanager
def progress_shown(encoder: Any, progress: bool) -> Iterator[None]:
    """Set whether an encoder shows its own progress bar, if it has one, during the block."""
    before = getattr(encoder, "progress", None)
    if before is not None:
        encoder.progress = progress
    try:
        yield
    finally:
        if before is not None:
            encoder.progress = before


def as_read(encoder: Encoder, items: Sequence[Any]) -> Sequence[Any]:
    """Return items as an encoder reads them: a str given to an encoder of pictures is a path."""
    if getattr(encoder, "reads", None) != "picture":
        return items
    return [Path(item) if isinstance(item, str) else item for item in items]
