"""Opening pictures: one policy, for whoever looks at pixels.

- A picture is a path, an image of Pillow or an array of uint8 (height × width, or height × width ×
  3 or 4). An address on the net is refused: nothing is fetched.
- A file that is missing, broken or cut off is an error that names the row and the file.
- More than `MOST_PIXELS` pixels are an error that is raised before they are decoded.
- Of an animation or a file of several pages the first is taken.
- EXIF's orientation is applied; EXIF that can't be read is ignored.
- What is transparent lies on white.
- Grey of 16 bits is scaled to 8 (integers of 32 bits are read as 16); palettes, CMYK and whatever
  else Pillow knows become RGB.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from octis_m3l.errors import DataError

MOST_PIXELS = 89_478_485
"""Pixels of the largest picture that is opened: where Pillow begins to warn, a quarter of a GiB."""

_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]+:/|data:")


def open_picture(item: Any, row: int) -> Image.Image:
    """Return a picture as RGB, upright and on white, as this module says.

    Parameters
    ----------
    item : path, PIL image or array of uint8
        The picture.
    row : int
        Which one it is, for the message.

    Raises
    ------
    DataError
        If it is an address, can't be opened, is too large or is no picture.
    """
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
        image.load()
        return as_rgb(image)


def fault_of(path: Path) -> str | None:
    """Return what keeps a file from being opened by `open_picture`; None where nothing does.

    Parameters
    ----------
    path : Path
        The file.
    """
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
    """Return whether a picture is given by its address on the net.

    Parameters
    ----------
    item : str or Path
        What was given for a file.
    """
    return _ADDRESS.match(str(item)) is not None


def check_no_address(item: str | Path, what: str) -> None:
    """Refuse an address on the net.

    Parameters
    ----------
    item : str or Path
        What was given for a file.
    what : str
        Which picture, for the message.

    Raises
    ------
    DataError
        If it is one.
    """
    if is_address(item):
        raise DataError(
            f"{what} is an address ({str(item)[:100]}): nothing is fetched from the net. Download "
            "it first, and give the file's path."
        )


def as_rgb(image: Image.Image) -> Image.Image:
    """Return an image upright, on white, with 8 bits in each of three channels.

    Parameters
    ----------
    image : PIL image
        Of any mode.
    """
    image = _upright(image)
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")


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
