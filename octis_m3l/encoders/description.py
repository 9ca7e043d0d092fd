"""What made some embeddings, as JSON can hold it, and the encoder again from that."""

import warnings
from collections.abc import Mapping
from typing import Any

from octis_m3l.encoders.pretrained import PretrainedEncoder
from octis_m3l.encoders.protocol import Encoder
from octis_m3l.encoders.storage import _KINDS, is_stored
from octis_m3l.errors import OctisM3LError, StorageError


def described(encoder: Encoder) -> dict[str, Any] | None:
    """Return an encoder's kind and settings, or None if these are not all that it is.

    Parameters
    ----------
    encoder : Encoder
        Those that nothing was fitted for are all settings; a user's own are unknown.
    """
    if not is_stored(encoder):
        return None
    stored: Any = encoder
    arrays, settings = stored.state()
    if arrays:
        return None
    return {"kind": stored.kind, "settings": settings}


def from_description(description: Mapping[str, Any]) -> Encoder | None:
    """Return the encoder that `described` stands for; None, with a warning, if that fails."""
    try:
        kind = _KINDS.get(str(description["kind"]))
        if kind is None:
            raise StorageError(
                f"its kind '{description['kind']}' is not known; was it written by a newer version?"
            )
        encoder: Encoder = kind.restore({}, description["settings"])
    except (OctisM3LError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, OctisM3LError) else "its record is broken"
        warnings.warn(
            f"the encoder that made the data set's embeddings can't be made again ({reason}). The "
            "embeddings are used as they are, but new items can't be encoded: for that give the "
            "encoder (encoders={view: …}), or embed the data set again.",
            stacklevel=2,
        )
        return None
    return encoder.of_dataset() if isinstance(encoder, PretrainedEncoder) else encoder
