"""A canvas to draw scenes on, and the colours that they share."""

from collections.abc import Iterable, Sequence
from math import cos, pi, sin

from numpy.random import Generator
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

WHITE: Colour = (250, 250, 248)
BLACK: Colour = (24, 22, 26)
GOLD: Colour = (240, 196, 60)
RED: Colour = (208, 40, 44)


class Canvas:
    """A square picture on which both coordinates go from 0 (left, top) to 100."""

    def __init__(self, side: int, random: Generator) -> None:
        self.image = Image.new("RGB", (side, side))
        self._random = random
        self._pen = ImageDraw.Draw(self.image)
        self._unit = side / 100

    def number(self, low: float, high: float) -> float:
        """Return a number between two others."""
        return float(self._random.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included."""
        return int(self._random.integers(low, high + 1))

    def pick(self, colours: Sequence[Colour]) -> Colour:
        """Return one of the colours, in a shade of its own."""
        return self.shade(colours[self.count(0, len(colours) - 1)])

    def shade(self, colour: Colour, spread: int = 9) -> Colour:
        """Return the colour, a little lighter or darker and a little off."""
        whole = self.count(-spread, spread)
        red, green, blue = (part + whole + self.count(-4, 4) for part in colour)
        return _clip(red), _clip(green), _clip(blue)

    def gradient(self, first: Colour, last: Colour, top: float = 0, bottom: float = 100) -> None:
        """Fill a band over the whole width, from one colour to another."""
        upper, lower = round(top * self._unit), round(bottom * self._unit)
        box = (0, upper, self.image.width, max(lower, upper + 1))
        mask = Image.linear_gradient("L").resize((box[2], box[3] - box[1]))
        self.image.paste(first, box)
        self.image.paste(last, box, mask)

    def box(self, x: float, y: float, width: float, height: float, fill: Colour) -> None:
        """Draw an upright rectangle from its top left corner."""
        self.polygon([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], fill)

    def rounded(self, x: float, y: float, width: float, height: float, fill: Colour) -> None:
        """Draw an upright rectangle with round corners."""
        corners = [part * self._unit for part in (x, y, x + width, y + height)]
        self._pen.rounded_rectangle(corners, min(width, height) * self._unit / 3, fill)

    def disc(self, x: float, y: float, radius: float, fill: Colour, flat: float = 1.0) -> None:
        """Draw a disc around a point, or an ellipse `flat` times as high as wide."""
        high = radius * flat
        corners = (x - radius, y - high, x + radius, y + high)
        self._pen.ellipse([part * self._unit for part in corners], fill)

    def polygon(self, points: Iterable[Point], fill: Colour) -> None:
        """Fill a polygon."""
        self._pen.polygon(self._pixels(points), fill)

    def line(self, points: Iterable[Point], fill: Colour, width: float = 1.0) -> None:
        """Draw a line through points."""
        pixels = self._pixels(points)
        self._pen.line(pixels, fill, max(1, round(width * self._unit)), "curve")

    def _pixels(self, points: Iterable[Point]) -> list[Point]:
        return [(x * self._unit, y * self._unit) for x, y in points]


def around(x: float, y: float, radius: float, corners: int, turn: float = 0.0) -> list[Point]:
    """Return evenly spaced points on a circle, the first one on top."""
    angles = [2 * pi * (corner / corners) + turn for corner in range(corners)]
    return [(x + radius * sin(angle), y - radius * cos(angle)) for angle in angles]


def _clip(part: int) -> int:
    return min(255, max(0, part))
