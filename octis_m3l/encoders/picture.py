"""A picture encoder that needs no download: colours and edges."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from octis_m3l.data.item_checks import as_items
from octis_m3l.data.pictures import open_picture
from octis_m3l.data.views import Picture

_SIDE, _GRID, _HUES, _ANGLES = 64, 4, 12, 8


@dataclass(frozen=True)
class PictureEncoder:
    """Encodes a picture by statistics of colours and of edge directions; nothing is fitted.

    It tells a forest from a beach, but not a cat from a dog. For that, use `ClipEncoder`,
    `TimmEncoder` or embeddings of your own.
    """

    kind: ClassVar[str] = "picture"
    reads: ClassVar[Literal["text", "picture"]] = "picture"

    name: ClassVar[str] = "picture"
    specification: ClassVar[str] = "picture"
    dimensions: ClassVar[int] = _HUES * 9 + _GRID * _GRID * (3 + _ANGLES)

    def fingerprint(self) -> str:
        """Return a SHA-256 of its kind and the version of its computation."""
        return hashlib.sha256(f"{self.kind} 1".encode()).hexdigest()

    def encode(self, items: Sequence[Picture | Image.Image]) -> NDArray[np.float32]:
        """Return the vectors of pictures (pictures × dimensions); one that can't be opened raises.

        Parameters
        ----------
        items : sequence of path, array of uint8 or PIL image
            The pictures; `octis_m3l.data.pictures` says how they are opened.
        """
        items = as_items(items, "pictures to encode")
        vectors = np.empty((len(items), self.dimensions), np.float32)
        for row, item in enumerate(items):
            image = open_picture(item, row).resize((_SIDE, _SIDE))
            vectors[row] = np.concatenate([_colours(image), _cells(image)])
        return vectors

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return no arrays and no settings."""
        return {}, {}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Return the encoder."""
        return cls()


def _colours(image: Image.Image) -> NDArray[np.float32]:
    hue, saturation, value = np.moveaxis(np.asarray(image.convert("HSV"), np.int64), 2, 0)
    bins = (hue * _HUES // 256 * 3 + saturation * 3 // 256) * 3 + value * 3 // 256
    histogram = np.bincount(bins.ravel(), minlength=_HUES * 9) / bins.size
    return np.asarray(histogram, np.float32)


def _cells(image: Image.Image) -> NDArray[np.float32]:
    pixels = np.asarray(image, np.float32) / 255.0
    step = _SIDE // _GRID
    means = pixels.reshape(_GRID, step, _GRID, step, 3).mean(axis=(1, 3))
    down, right = np.gradient(pixels.mean(axis=2))
    angle = ((np.arctan2(down, right) % np.pi) * (_ANGLES / np.pi)).astype(np.int64) % _ANGLES
    cell = np.arange(_SIDE) // step
    bins = (cell[:, None] * _GRID + cell[None, :]) * _ANGLES + angle
    edges = np.bincount(
        bins.ravel(), np.hypot(down, right).ravel(), minlength=_GRID * _GRID * _ANGLES
    )
    return np.asarray(np.concatenate([means.ravel(), edges / step**2]), np.float32)
