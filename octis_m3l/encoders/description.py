"""What made some embeddings, as JSON can hold it, and the encoder again from that."""

from collections.abc import Mapping
from typing import Any

from octis_m3l.encoders.protocol import Encoder
from octis_m3l.encoders.storage import _KINDS, is_stored


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
    """Return the encoder that `described` spoke of, or None if its kind is not known here.

    Parameters
    ----------
    description : mapping
        As `described` gave it.
    """
    kind = _KINDS.get(str(description.get("kind")))
    if kind is None:
        return None
    encoder: Encoder = kind.restore({}, description["settings"])
    return encoder
