"""A picture of a theme: its scene, and another one's in a corner."""

from numpy.random import Generator
from PIL import Image, ImageDraw

from octis_m3l.data.pictures.canvas import WHITE, Canvas
from octis_m3l.data.pictures.scenes import SCENES
from octis_m3l.errors import DataError, suggest

THEMES: tuple[str, ...] = tuple(SCENES)
_OVERSAMPLING = 4
_INSET = 0.36


def draw(theme: str, accent: str | None, random: Generator, size: int = 64) -> Image.Image:
    """Draw a scene: the same theme looks different each time, and always like itself.

    Parameters
    ----------
    theme : str
        What the picture shows; one of `THEMES`.
    accent : str, optional
        Another theme, whose scene is shown in a round inset in a corner. None, or the theme
        itself: no inset. The rest of the picture does not depend on it.
    random : numpy.random.Generator
        Where positions, counts, shades and sizes come from.
    size : int
        Width and height in pixels.

    Returns
    -------
    PIL.Image.Image
        In RGB.

    Raises
    ------
    DataError
        If the theme or the accent is none of `THEMES`.
    """
    for name in (theme, accent):
        if name is not None and name not in SCENES:
            raise DataError(f"unknown theme '{name}'.{suggest(name, THEMES)}")
    image = _scene(theme, random, size * _OVERSAMPLING)
    if accent is not None and accent != theme:
        _add_inset(image, accent, random)
    return image.resize((size, size), Image.Resampling.LANCZOS)


def _scene(theme: str, random: Generator, side: int) -> Image.Image:
    canvas = Canvas(side, random)
    SCENES[theme](canvas)
    return canvas.image


def _add_inset(image: Image.Image, theme: str, random: Generator) -> None:
    side = round(image.width * _INSET)
    margin = round(image.width * 0.03)
    far = image.width - side - margin
    corner = int(random.integers(4))
    place = (far if corner % 2 else margin, far if corner // 2 else margin)
    image.paste(WHITE, place, _round_mask(side, 0))
    image.paste(_scene(theme, random, side), place, _round_mask(side, round(side * 0.05)))


def _round_mask(side: int, frame: int) -> Image.Image:
    mask = Image.new("L", (side, side))
    end = side - 1 - frame
    ImageDraw.Draw(mask).ellipse((frame, frame, end, end), 255)
    return mask
