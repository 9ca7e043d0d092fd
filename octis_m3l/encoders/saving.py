"""Encoders saved with a model, as safetensors and JSON, or described in a data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from octis_m3l.data.arrays import read_weights
from octis_m3l.encoders.base import ENCODERS, Encoder, StoredEncoder
from octis_m3l.errors import OctisM3LError, SettingsError, StorageError, warn
from octis_m3l.files import damage_errors, read_json, write_json, written_whole


def is_stored(encoder: Encoder) -> bool:
    """Return whether an encoder is of a kind that is saved with a model."""
    return type(encoder) in ENCODERS.values()


def save_encoder(encoder: StoredEncoder, folder: Path) -> None:
    """Write an encoder to a folder, which is created if it does not exist."""
    arrays, settings = encoder.state()
    folder.mkdir(parents=True, exist_ok=True)
    if arrays:
        with written_whole(folder / "encoder.safetensors") as temporary:
            save_file(arrays, temporary)
    content = {"kind": encoder.kind, "arrays": sorted(arrays), "settings": settings}
    write_json(folder / "encoder.json", content)


def load_encoder(folder: Path) -> Encoder:
    """Read an encoder that `save_encoder` wrote."""
    content = read_json(folder / "encoder.json")
    with damage_errors(folder):
        arrays = read_weights(folder / "encoder.safetensors") if content.get("arrays") else {}
        return restored(content, arrays, f"the encoder in {folder}")


def described(encoder: Encoder) -> dict[str, Any] | None:
    """Return an encoder's kind and settings, or None if these do not determine the encoder.

    They determine an encoder of this package to which nothing was fitted.
    """
    if not is_stored(encoder):
        return None
    stored: Any = encoder
    arrays, settings = stored.state()
    return None if arrays else {"kind": stored.kind, "settings": settings}


def from_description(description: Mapping[str, Any]) -> Encoder | None:
    """Return the encoder that `described` described; None, with a warning, if that fails."""
    try:
        return restored(description, {}, "it")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, OctisM3LError) else "its record is broken"
        warn(
            f"the encoder of the data set's embeddings can't be restored ({reason}). The "
            "embeddings are used as they are, but new items can't be encoded: for that give the "
            "encoder (encoders={view: …}), or embed the data set again."
        )
        return None


def restored(content: Mapping[str, Any], arrays: Mapping[str, Any], what: str) -> Encoder:
    """Return the encoder of a kind, with these arrays and settings; errors call it `what`."""
    kind = content["kind"]
    if kind not in ENCODERS:
        raise StorageError(
            f"{what} is of the unknown kind '{kind}' (known: {', '.join(ENCODERS)}); was it "
            "written by a newer version?"
        )
    try:
        encoder: Encoder = ENCODERS[kind].restore(arrays, content["settings"])
    except SettingsError as error:
        raise StorageError(
            f"{what} has an impossible setting: {error} Was it written by a newer version?"
        ) from None
    return encoder
