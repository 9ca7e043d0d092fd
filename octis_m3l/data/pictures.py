"""Opening pictures: one policy, for whoever looks at pixels.

- A picture is a path, an image of Pillow or an array of uint8 (height × width, or height × width ×
  3 or 4). An address on the net is refused: nothing is fetched.
- A file that is missing, broken or cut off is an error that names the row and the file.
- More than `MOST_PIXELS` pixels are an error that is raised before they are decoded.
- Of an animation or a file of several pages the first is taken.
- EXIF's orientation is applied; EXIF that can't be read is ignored.
- What is transparent lies on white.
- Grey of 16 bits is scaled to 8 (integers of 32 bits are read as 16). Floats are read as 0 to 1, or
  as 8 or 16 bits where some are above 1 or 255; NaN is black. Palettes, CMYK and whatever else
  Pillow knows become RGB.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile

from octis_m3l.errors import DataError

MOST_PIXELS = 89_478_485
"""Pixels of the largest picture that is opened: where Pillow begins to warn, a quarter of a GiB."""

_GREY_STEPS = {"L;2": 85, "L;4": 17}
_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]+:/|data:")


def open_picture(item: Any, row: int) -> Image.Image:
    """Return a picture as RGB, upright and on white, as this module says."""
    if isinstance(item, np.ndarray):
        return as_rgb(_of_array(item, row))
    if isinstance(item, Image.Image):
        with _mended(row, "an image of Pillow"):
            _check_size(item)
            return as_rgb(item)
    if not isinstance(item, str | Path):
        raise DataError(
            f"picture {row} is of type {type(item).__name__}; expected a path, an image of Pillow "
            "or an array of uint8."
        )
    check_no_address(item, f"picture {row}")
    with _mended(row, str(item)), Image.open(item) as image:
        _check_size(image)
        return as_rgb(image)


def fault_of(path: Path) -> str | None:
    """Return what keeps a file from being opened by `open_picture`; None where nothing does."""
    try:
        with Image.open(path) as image:
            _check_size(image)
            # Truncated files are only noticed when pixels are read; a draft of a JPEG is quick.
            image.draft("RGB", (64, 64))
            image.load()
    except MemoryError:
        raise
    except FileNotFoundError:
        return "is missing"
    except UnidentifiedImageError:
        return "is no picture"
    except (_TooLarge, Image.DecompressionBombError) as error:
        return f"is too large ({error})"
    except Exception as error:
        return f"is broken or can't be read ({error})"
    return None


def is_address(item: str | Path) -> bool:
    """Return whether a picture is given by its address on the net."""
    return _ADDRESS.match(str(item)) is not None


def check_no_address(item: str | Path, what: str) -> None:
    """Refuse an address on the net."""
    if is_address(item):
        raise DataError(
            f"{what} is an address ({str(item)[:100]}): nothing is fetched from the net. Download "
            "it first, and give the file's path."
        )


def as_rgb(image: Image.Image) -> Image.Image:
    """Return an image upright, on white, with 8 bits in each of three channels."""
    _scale_transparent_colour(image)
    image.load()
    image = _upright(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = _grey_of_eight_bits(image)
    if image.has_transparency_data:
        # Pillow converts grey with premultiplied transparency in two steps only.
        layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")


def _scale_transparent_colour(image: Image.Image) -> None:
    """Scale the colour that a PNG declares transparent as Pillow will scale the pixels."""
    colour = image.info.get("transparency")
    depth = image.tile[0].args if isinstance(image, PngImageFile) and image.tile else None
    if depth in _GREY_STEPS and isinstance(colour, int):
        image.info["transparency"] = colour * _GREY_STEPS[depth]
    elif depth == "RGB;16B" and isinstance(colour, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def _grey_of_eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if image.mode == "F":
        highest = values.max(initial=0, where=np.isfinite(values))
        scale = next((1 / top for top in (1, 255) if highest <= top), 1 / 65535)
        scaled = np.nan_to_num(values.astype(np.float64) * scale, posinf=1.0).clip(0, 1)
        return Image.fromarray(np.rint(scaled * 255).astype(np.uint8))
    deep = values.astype(np.int64).clip(0, 65535)
    grey = ((deep * 255 + 32767) // 65535).astype(np.uint8)
    grey[values == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:
        # EXIF is written by every kind of program; Pillow's readers of it raise what they like.
        return image


def _of_array(pixels: NDArray[Any], row: int) -> Image.Image:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise DataError(
            f"picture {row} is an array of shape {pixels.shape} and type {pixels.dtype}; expected "
            "uint8 (height × width, or height × width × 3 or 4)."
        )
    if not pixels.size:
        raise DataError(f"picture {row} is an array of shape {pixels.shape}: it has no pixels.")
    if pixels.ndim == 3 and channels == 1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(pixels))


class _TooLarge(Exception):  # noqa: N818
    """Not to be decoded."""


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise _TooLarge(f"{width} × {height} pixels")


@contextmanager
def _mended(row: int, item: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except (_TooLarge, Image.DecompressionBombError) as error:
        raise DataError(
            f"picture {row} ({item}) is too large ({error}), at most {MOST_PIXELS:,} pixels are "
            "opened; make it smaller or leave it out."
        ) from None
    except Exception as error:
        # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error and others.
        raise DataError(
            f"picture {row} ({item}) can't be opened ({error}); mend or leave it out."
        ) from None
