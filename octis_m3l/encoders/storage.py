"""Encoders saved with a model: safetensors and JSON."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from octis_m3l.encoders.clip import ClipEncoder
from octis_m3l.encoders.latent_semantic import LatentSemanticEncoder
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.encoders.protocol import Encoder, StoredEncoder
from octis_m3l.encoders.sentence import SentenceEncoder
from octis_m3l.encoders.static import StaticEncoder
from octis_m3l.encoders.timm_encoder import TimmEncoder
from octis_m3l.errors import StorageError
from octis_m3l.files import read_json, write_json, written_whole

_KINDS: dict[str, Any] = {
    encoder.kind: encoder
    for encoder in (
        LatentSemanticEncoder,
        PictureEncoder,
        SentenceEncoder,
        StaticEncoder,
        ClipEncoder,
        TimmEncoder,
    )
}


def is_stored(encoder: Encoder) -> bool:
    """Return whether an encoder is of a kind that is saved with a model."""
    return type(encoder) in _KINDS.values()


def save_encoder(encoder: StoredEncoder, folder: Path) -> None:
    """Write an encoder to a folder.

    Parameters
    ----------
    encoder : StoredEncoder
        What to write.
    folder : Path
        Made if it isn't there.
    """
    arrays, settings = encoder.state()
    folder.mkdir(parents=True, exist_ok=True)
    if arrays:
        with written_whole(folder / "encoder.safetensors") as temporary:
            save_file(arrays, temporary)
    described = {"kind": encoder.kind, "arrays": sorted(arrays), "settings": settings}
    write_json(folder / "encoder.json", described)


def load_encoder(folder: Path) -> Encoder:
    """Read an encoder that `save_encoder` wrote.

    Parameters
    ----------
    folder : Path
        Where it is.

    Raises
    ------
    StorageError
        If a file is missing, truncated or of an unknown kind.
    """
    described = read_json(folder / "encoder.json")
    kind = described.get("kind")
    if kind not in _KINDS:
        raise StorageError(
            f"{folder} holds an encoder of kind '{kind}', known are {', '.join(sorted(_KINDS))}; "
            "was it written by a newer version?"
        )
    arrays: dict[str, Any] = {}
    if described["arrays"]:
        try:
            arrays = load_file(folder / "encoder.safetensors")
        except (SafetensorError, OSError) as error:
            raise StorageError(
                f"{folder / 'encoder.safetensors'} can't be read ({error}); copy it again."
            ) from None
    restored: Encoder = _KINDS[kind].restore(arrays, described["settings"])
    return restored
