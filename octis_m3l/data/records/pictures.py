"""Pictures as they are given: a path, an array or an image of Pillow."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from octis_m3l.data.pictures import check_no_address, fault_of, open_picture
from octis_m3l.data.views import Picture
from octis_m3l.errors import DataError


class Unseen(int):
    """Stands for a picture that is known by its embedding alone: its row."""


def as_picture(item: Any, name: str, record: int) -> Picture | Unseen:
    """Return a picture as views hold it."""
    if isinstance(item, str | Path):
        check_no_address(item, f"view '{name}', record {record}: the picture")
        return Path(item)
    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim != 3 or item.shape[2] != 3:
            raise DataError(
                f"view '{name}', record {record}: a picture of shape {item.shape} and type "
                f"{item.dtype}; expected uint8 (height × width × 3)."
            )
        return item
    if isinstance(item, Image.Image):
        return np.asarray(open_picture(item, record))
    if isinstance(item, Unseen):
        return item
    raise DataError(
        f"view '{name}', record {record}: a picture of type {type(item).__name__}; expected a "
        f"path, a PIL image or an array. For embeddings alone: images={{'{name}': None}}."
    )


def fault(picture: Picture) -> str | None:
    """Return the file and what is wrong with it, if it can't be read to its end; else None."""
    wrong = fault_of(picture) if isinstance(picture, Path) else None
    return wrong and f"{picture} {wrong}"
