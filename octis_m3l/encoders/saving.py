"""Encoders saved with a model, as safetensors and JSON, or described in a data set."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import save_file

from octis_m3l.data.arrays import read_weights
from octis_m3l.encoders.base import ENCODERS, Encoder, StoredEncoder
from octis_m3l.encoders.pretrained import PretrainedEncoder
from octis_m3l.errors import OctisM3LError, StorageError
from octis_m3l.files import read_json, write_json, written_whole


def is_stored(encoder: Encoder) -> bool:
    """Return whether an encoder is of a kind that is saved with a model."""
    return type(encoder) in ENCODERS.values()


def save_encoder(encoder: StoredEncoder, folder: Path) -> None:
    """Write an encoder to a folder.

    Parameters
    ----------
    encoder : StoredEncoder
        What to write.
    folder : Path
        Created if it does not exist.
    """
    arrays, settings = encoder.state()
    folder.mkdir(parents=True, exist_ok=True)
    if arrays:
        with written_whole(folder / "encoder.safetensors") as temporary:
            save_file(arrays, temporary)
    content = {"kind": encoder.kind, "arrays": sorted(arrays), "settings": settings}
    write_json(folder / "encoder.json", content)


def load_encoder(folder: Path) -> Encoder:
    """Read an encoder that `save_encoder` wrote.

    Parameters
    ----------
    folder : Path
        The folder of the encoder.

    Raises
    ------
    StorageError
        If a file is missing, truncated or of an unknown kind.
    """
    content = read_json(folder / "encoder.json")
    encoder_class = _class_of(content, f"the encoder in {folder}")
    arrays: dict[str, Any] = {}
    if content["arrays"]:
        try:
            arrays = read_weights(folder / "encoder.safetensors")
        except (SafetensorError, OSError) as error:
            raise StorageError(
                f"{folder / 'encoder.safetensors'} can't be read ({error}); copy it again."
            ) from None
    restored: Encoder = encoder_class.restore(arrays, content["settings"])
    return restored


def described(encoder: Encoder) -> dict[str, Any] | None:
    """Return an encoder's kind and settings, or None if they do not determine the encoder.

    Parameters
    ----------
    encoder : Encoder
        Settings determine an encoder of this package to which nothing was fitted.
    """
    if not is_stored(encoder):
        return None
    stored: Any = encoder
    arrays, settings = stored.state()
    return None if arrays else {"kind": stored.kind, "settings": settings}


def from_description(description: Mapping[str, Any]) -> Encoder | None:
    """Return the encoder that `described` described; None, with a warning, if that fails."""
    try:
        encoder_class = _class_of(description, "it")
        encoder: Encoder = encoder_class.restore({}, description["settings"])
    except (OctisM3LError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, OctisM3LError) else "its record is broken"
        warnings.warn(
            f"the encoder of the data set's embeddings can't be restored ({reason}). The "
            "embeddings are used as they are, but new items can't be encoded: for that give the "
            "encoder (encoders={view: …}), or embed the data set again.",
            stacklevel=2,
        )
        return None
    return encoder.of_dataset() if isinstance(encoder, PretrainedEncoder) else encoder


def _class_of(content: Mapping[str, Any], what: str) -> Any:
    kind = content["kind"]
    if kind not in ENCODERS:
        raise StorageError(
            f"{what} is of the unknown kind '{kind}' (known: {', '.join(ENCODERS)}); was it "
            "written by a newer version?"
        )
    return ENCODERS[kind]
