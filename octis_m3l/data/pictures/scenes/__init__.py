"""One scene a file, each a function that draws a theme on a canvas."""

from collections.abc import Callable

from octis_m3l.data.pictures.canvas import Canvas
from octis_m3l.data.pictures.scenes.bakery import draw_bakery
from octis_m3l.data.pictures.scenes.football import draw_football
from octis_m3l.data.pictures.scenes.garden import draw_garden
from octis_m3l.data.pictures.scenes.hospital import draw_hospital
from octis_m3l.data.pictures.scenes.market import draw_market
from octis_m3l.data.pictures.scenes.mountains import draw_mountains
from octis_m3l.data.pictures.scenes.music import draw_music
from octis_m3l.data.pictures.scenes.railway import draw_railway
from octis_m3l.data.pictures.scenes.sea import draw_sea
from octis_m3l.data.pictures.scenes.stars import draw_stars

SCENES: dict[str, Callable[[Canvas], None]] = {
    "sea": draw_sea,
    "mountains": draw_mountains,
    "bakery": draw_bakery,
    "music": draw_music,
    "football": draw_football,
    "stars": draw_stars,
    "railway": draw_railway,
    "garden": draw_garden,
    "hospital": draw_hospital,
    "market": draw_market,
}

__all__ = ["SCENES"]
