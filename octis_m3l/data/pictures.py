"""Opening pictures: the rules that hold wherever pixels are read.

- A picture is a path, a Pillow image or an array of uint8 (height × width, or height × width × 3 or
  4). URLs are rejected: nothing is downloaded.
- A missing, broken or incomplete file raises an error that names the row and the file.
- More than `MOST_PIXELS` pixels raise an error before they are decoded.
- The first frame of an animation or page of a file is used.
- The EXIF orientation is applied; unreadable EXIF data are ignored.
- Transparent pixels are shown on white.
- 16-bit grey is scaled to 8 bits (32-bit integers are read as 16-bit). Floats are read as 0 to 1,
  or as 8 or 16 bits if some are above 1 or 255; NaN is black. Palettes, CMYK and other modes that
  Pillow knows are converted to RGB.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile

from octis_m3l.data.views import Picture
from octis_m3l.errors import DataError

MOST_PIXELS = 89_478_485
"""Pixels of the largest picture that is opened: Pillow warns from there on (a quarter of a GiB)."""

_GREY_STEPS = {"L;2": 85, "L;4": 17}
_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]+:/|data:")


def open_picture(item: Any, row: int) -> Image.Image:
    """Return a picture as RGB, upright and on white, by the rules of this module."""
    return _opened(item, f"picture {row}")


def as_picture(item: Any, view: str, record: int) -> Picture:
    """Return a picture as views hold it: a path, or an array of uint8 (height × width × 3)."""
    what = f"view '{view}', record {record}: the picture"
    if isinstance(item, str | Path):
        _check_no_address(item, what)
        return Path(item)
    return item if is_rgb_array(item) else np.asarray(_opened(item, what))


def is_rgb_array(item: Any) -> bool:
    """Return whether a picture is an array of uint8 (height × width × 3)."""
    is_bytes = isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.size > 0
    return is_bytes and item.ndim == 3 and item.shape[2] == 3


def fault_of(path: Path) -> str | None:
    """Return why `open_picture` cannot open a file, or None if it can."""
    try:
        with Image.open(path) as image:
            _small_enough(image)
            # Incomplete files are noticed only when pixels are read; a draft of a JPEG is fast.
            image.draft("RGB", (64, 64))
            image.load()
    except MemoryError:
        raise
    except Exception as error:
        return _fault(error)
    return None


def is_address(item: str | Path) -> bool:
    """Return whether a picture is given by a URL."""
    return _ADDRESS.match(str(item)) is not None


def _check_no_address(item: str | Path, what: str) -> None:
    if is_address(item):
        raise DataError(
            f"{what} is an address ({str(item)[:100]}): nothing is fetched from the net. Download "
            "it first, and give the file's path."
        )


def _opened(item: Any, what: str) -> Image.Image:
    if isinstance(item, np.ndarray):
        return _as_rgb(_from_array(item, what))
    if isinstance(item, str | Path):
        _check_no_address(item, what)
    elif not isinstance(item, Image.Image):
        raise DataError(
            f"{what} is of type {type(item).__name__}; expected a path, an image of Pillow or an "
            "array of uint8."
        )
    try:
        if isinstance(item, Image.Image):
            return _as_rgb(_small_enough(item))
        with Image.open(item) as image:
            return _as_rgb(_small_enough(image))
    except MemoryError:
        raise
    except Exception as error:
        name = "an image of Pillow" if isinstance(item, Image.Image) else item
        raise DataError(f"{what} ({name}) {_fault(error)}; mend it or leave it out.") from None


def _fault(error: Exception) -> str:
    """Say why a picture can't be opened; Pillow's plugins raise errors of any type."""
    if isinstance(error, FileNotFoundError):
        return "is missing"
    if isinstance(error, UnidentifiedImageError):
        return "is no picture"
    if isinstance(error, Image.DecompressionBombError):
        return f"is too large ({error}), at most {MOST_PIXELS:,} pixels are opened"
    return f"is broken or can't be read ({error})"


def _small_enough(image: Image.Image) -> Image.Image:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise Image.DecompressionBombError(f"{width} × {height} pixels")
    return image


def _from_array(pixels: NDArray[Any], what: str) -> Image.Image:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    is_picture = pixels.ndim in (2, 3) and channels in (1, 3, 4) and pixels.size > 0
    if pixels.dtype != np.uint8 or not is_picture:
        raise DataError(
            f"{what} is an array of shape {pixels.shape} and type {pixels.dtype}; expected uint8 "
            "(height × width, or height × width × 3 or 4) with at least one pixel."
        )
    grey = pixels[:, :, 0] if pixels.ndim == 3 and channels == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(grey))


def _as_rgb(image: Image.Image) -> Image.Image:
    """Return an image upright, on white, with 8 bits in each of three channels."""
    _scale_transparent_colour(image)
    image.load()
    image = _upright(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = _grey_of_eight_bits(image)
    if image.has_transparency_data:
        # Pillow converts grey with premultiplied alpha only in two steps.
        layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")


def _scale_transparent_colour(image: Image.Image) -> None:
    """Scale the transparent colour of a PNG in the same way as Pillow scales its pixels."""
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
        # Many programs write EXIF data, and Pillow's readers of it raise errors of any type.
        return image
