"""Pictures: those that are files stay where they are, and arrays become files."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from octis_m3l.data.views import ImageView, Picture
from octis_m3l.errors import DataError


def check_pictures(view: str, pictures: Sequence[Picture]) -> None:
    """Refuse picture files that are missing and arrays that are no pictures."""
    missing = [str(p) for p in pictures if isinstance(p, Path) and not p.is_file()]
    if missing:
        shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise DataError(
            f"view '{view}': {len(missing)} of {len(pictures)} picture files are missing: {shown}; "
            "put them back there, or build the data set again without them."
        )
    for number, picture in enumerate(pictures):
        if not isinstance(picture, Path) and (
            picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3
        ):
            raise DataError(
                f"view '{view}': picture {number} has shape {picture.shape} and type "
                f"{picture.dtype}; expected uint8 (height × width × 3)."
            )


def keep_pictures(views: Iterable[ImageView], folder: Path, new: Path) -> dict[Path, Path]:
    """Copy the pictures that replacing the folder would delete; say where each is now."""
    kept: dict[Path, Path] = {}
    for view in views:
        for picture in view.pictures or []:
            if not isinstance(picture, Path) or picture in kept:
                continue
            for place in (Path(os.path.abspath(picture)), picture.resolve()):  # noqa: PTH100
                if place.is_relative_to(folder):
                    kept[picture] = new / place.relative_to(folder)
                    kept[picture].parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(picture, kept[picture])
                    break
    return kept


def stored_pictures(view: ImageView, new: Path, kept: Mapping[Path, Path]) -> list[Path]:
    """Write the pictures that are arrays as PNG; say where each picture is now."""
    stored: list[Path] = []
    number = 0
    for picture in view.pictures or []:
        if isinstance(picture, Path):
            stored.append(kept.get(picture) or Path(os.path.abspath(picture)))  # noqa: PTH100
            continue
        place = new / view.name / "pictures"
        place.mkdir(exist_ok=True)
        while (path := place / f"{number:06}.png").exists():
            number += 1
        Image.fromarray(picture).save(path)
        stored.append(path)
    return stored


def relative_path(path: Path, folder: Path) -> str:
    """Return a path relative to a folder, or as it is where there is none (another drive)."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.as_posix()


def read_pictures(folder: Path, view: str, paths: list[str]) -> list[Path]:
    """Return the paths of a view's pictures, all of which are there."""
    base = folder.resolve()
    pictures = [Path(os.path.normpath(base / path)) for path in paths]
    check_pictures(view, pictures)
    return pictures
