"""Writes octis_m3l/data/demo_pictures.json.xz: the drawing commands of the demo's pictures.

Run it from the repository's root with ``uv run python benchmarks/demo_pictures.py``. Each theme has
a scene whose positions, counts, shades and sizes are random; the package draws the commands.
"""

import json
import lzma
from collections.abc import Iterable, Sequence
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import numpy as np

Colour = tuple[int, int, int]
Point = tuple[float, float]

WHITE: Colour = (250, 250, 248)
BLACK: Colour = (24, 22, 26)
GOLD: Colour = (240, 196, 60)
RED: Colour = (208, 40, 44)
ASSET = Path("octis_m3l/data/demo_pictures.json.xz")


class Canvas:
    """Records commands; both coordinates go from 0 (left, top) to 100."""

    def __init__(self, side: int, random: np.random.Generator) -> None:
        self.commands: list[list[Any]] = []
        self._random = random
        self._unit = side / 100

    def number(self, low: float, high: float) -> float:
        """Return a number between two others."""
        return float(self._random.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included."""
        return int(self._random.integers(low, high + 1))

    def pick(self, colours: Sequence[Colour]) -> Colour:
        """Return one of the colours, in a random shade."""
        return self.shade(colours[self.count(0, len(colours) - 1)])

    def shade(self, colour: Colour, spread: int = 9) -> Colour:
        """Return the colour, a little lighter or darker and slightly shifted."""
        whole = self.count(-spread, spread)
        red, green, blue = (min(255, max(0, part + whole + self.count(-4, 4))) for part in colour)
        return red, green, blue

    def gradient(self, first: Colour, last: Colour, top: float = 0, bottom: float = 100) -> None:
        """Fill a band over the whole width, from one colour to another."""
        upper, lower = round(top * self._unit), round(bottom * self._unit)
        self.commands.append(["gradient", first, [*last, upper, max(lower, upper + 1)]])

    def box(self, x: float, y: float, width: float, height: float, fill: Colour) -> None:
        """Draw an upright rectangle from its top left corner."""
        self._record("rectangle", fill, (x, y, x + width, y + height), whole=True)

    def rounded(self, x: float, y: float, width: float, height: float, fill: Colour) -> None:
        """Draw an upright rectangle with round corners."""
        radius = min(width, height) / 3
        self._record("rounded", fill, (radius, x, y, x + width, y + height))

    def disc(self, x: float, y: float, radius: float, fill: Colour, flat: float = 1.0) -> None:
        """Draw a disc around a point, or an ellipse `flat` times as high as wide."""
        high = radius * flat
        self._record("ellipse", fill, (x - radius, y - high, x + radius, y + high), whole=True)

    def polygon(self, points: Iterable[Point], fill: Colour) -> None:
        """Fill a polygon."""
        self._record("polygon", fill, (part for point in points for part in point), whole=True)

    def line(self, points: Iterable[Point], fill: Colour, width: float = 1.0) -> None:
        """Draw a line through points."""
        pixels = max(1, round(width * self._unit))
        self._record("line", fill, (part for point in points for part in point), pixels <= 4)
        self.commands[-1][2].insert(0, pixels)

    def _record(
        self, shape: str, fill: Colour, numbers: Iterable[float], whole: bool = False
    ) -> None:
        # Pillow cuts most coordinates to whole pixels, but not those of rounded corners and joints.
        pixels = (number * self._unit for number in numbers)
        cut = [int(pixel) if whole else int(pixel * 64) / 64 for pixel in pixels]
        self.commands.append([shape, fill, cut])


def around(x: float, y: float, radius: float, corners: int, turn: float = 0.0) -> list[Point]:
    """Return evenly spaced points on a circle, the first one on top."""
    angles = [2 * pi * (corner / corners) + turn for corner in range(corners)]
    return [(x + radius * sin(angle), y - radius * cos(angle)) for angle in angles]


def sea(canvas: Canvas) -> None:
    """Draw a boat among waves, under the sun."""
    horizon = canvas.number(34, 44)
    canvas.gradient(canvas.shade((120, 194, 240)), canvas.shade((222, 242, 252)), 0, horizon)
    canvas.disc(canvas.number(8, 92), canvas.number(8, 20), canvas.number(5, 8), (255, 232, 120))
    canvas.gradient((40, 140, 190), (10, 60, 130), horizon, 100)
    level = horizon + canvas.number(14, 20)
    _boat(canvas, canvas.number(32, 68), level + 3, canvas.number(0.85, 1.15))
    rows = canvas.count(4, 6)
    for row in range(rows):
        depth = row / rows
        water = (round(34 - 24 * depth), round(136 - 66 * depth), round(196 - 52 * depth))
        _wave(canvas, level + (100 - level) * depth, 1.6 + 1.6 * depth, canvas.shade(water))


def _boat(canvas: Canvas, x: float, water: float, scale: float) -> None:
    shapes: list[tuple[list[Point], Colour]] = [
        ([(1, -44), (1, -12), (20, -12)], WHITE),
        ([(-3, -38), (-3, -12), (-17, -12)], canvas.pick([(250, 170, 60), (240, 220, 200)])),
        ([(-2, -46), (0, -46), (0, -8), (-2, -8)], (90, 60, 40)),
        ([(-22, -9), (22, -9), (14, 4), (-15, 4)], canvas.pick([RED, (150, 70, 40)])),
    ]
    for points, colour in shapes:
        canvas.polygon([(x + scale * dx, water + scale * dy) for dx, dy in points], colour)


def _wave(canvas: Canvas, level: float, height: float, water: Colour) -> None:
    phase, length = canvas.number(0, 2 * pi), canvas.number(2.6, 3.6)
    crest = [(x, level + height * sin(x / length + phase)) for x in range(-2, 103)]
    canvas.polygon([*crest, (102, 101), (-2, 101)], water)
    canvas.line(crest, canvas.shade((190, 228, 240)), 1.2)


def mountains(canvas: Canvas) -> None:
    """Draw peaks with snow, and pines before them."""
    canvas.gradient(canvas.shade((150, 164, 208)), canvas.shade((244, 224, 226)), 0, 80)
    ground = canvas.number(76, 82)
    canvas.box(0, ground - 4, 100, 30, canvas.shade((44, 78, 66)))
    peaks = canvas.count(2, 3)
    for peak in range(peaks):
        x = 100 * (peak + 0.5) / peaks + canvas.number(-6, 6)
        _peak(canvas, x, ground, canvas.number(34, 62))
    canvas.disc(50, 112, 90, canvas.shade((52, 92, 70)), 0.34)
    for _ in range(canvas.count(7, 11)):
        _pine(canvas, canvas.number(2, 98), canvas.number(86, 99), canvas.number(10, 17))


def _peak(canvas: Canvas, x: float, base: float, height: float) -> None:
    rock = canvas.shade((112, 108, 128))
    dark = (rock[0] - 34, rock[1] - 34, rock[2] - 28)
    top, half = base - height, height * canvas.number(0.62, 0.78)
    canvas.polygon([(x, top), (x + half, base), (x - half, base)], rock)
    canvas.polygon([(x, top), (x + half, base), (x + 0.1 * half, base), (x - 4, top + 22)], dark)
    snow = [(0, 0), (0.42, 0.42), (0.24, 0.36), (0.1, 0.5), (-0.08, 0.36), (-0.24, 0.48)]
    outline = [(x + half * dx, top + height * dy) for dx, dy in [*snow, (-0.42, 0.42)]]
    canvas.polygon(outline, (248, 250, 255))


def _pine(canvas: Canvas, x: float, foot: float, height: float) -> None:
    green = canvas.shade((22, 62, 48))
    for share in (0.0, 0.3, 0.6):
        top, half = foot - height * (1 - share * 0.9), height * (0.16 + 0.22 * share)
        canvas.polygon(
            [(x, top), (x + half, top + height / 2.4), (x - half, top + height / 2.4)], green
        )


def bakery(canvas: Canvas) -> None:
    """Draw a brick oven with a fire, and loaves in it and before it."""
    _bricks(canvas, canvas.shade((158, 84, 58)))
    x, top, width = canvas.number(46, 54), canvas.number(12, 18), canvas.number(36, 40)
    for edge, colour in ((5.0, (96, 52, 40)), (0.0, (48, 18, 12))):
        canvas.disc(x, top + width, width + edge, colour)
        canvas.box(x - width - edge, top + width, 2 * (width + edge), 80 - top - width, colour)
    canvas.disc(x, 74, width * 0.9, (196, 70, 16), 0.72)
    canvas.disc(x, 78, width * 0.66, (250, 152, 34), 0.6)
    canvas.gradient(canvas.shade((206, 160, 108)), (150, 104, 62), 78, 100)
    loaves = canvas.count(2, 3)
    for loaf in range(loaves):
        _loaf(canvas, x + 60 * ((loaf + 0.5) / loaves - 0.5), canvas.number(70, 73), 42 / loaves)
    _loaf(canvas, canvas.number(26, 38), canvas.number(88, 90), canvas.number(17, 22))
    _loaf(canvas, canvas.number(68, 78), canvas.number(88, 90), canvas.number(15, 19))


def _bricks(canvas: Canvas, colour: Colour) -> None:
    canvas.box(0, 0, 101, 101, (120, 62, 46))
    for row in range(12):
        for column in range(-1, 6):
            canvas.box(column * 18 + row % 2 * 9, row * 8, 17, 7, canvas.shade(colour))


def _loaf(canvas: Canvas, x: float, y: float, half: float) -> None:
    crust = canvas.shade((216, 146, 62))
    canvas.disc(x, y + 1.5, half, (112, 60, 22), 0.5)
    canvas.disc(x, y, half, crust, 0.48)
    canvas.disc(x, y - half * 0.12, half * 0.8, (234, 176, 92), 0.36)
    for cut in (-0.4, 0.0, 0.4):
        start = x + half * cut
        canvas.line(
            [(start - 1.5, y + half * 0.14), (start + 2, y - half * 0.34)],
            (255, 232, 178),
            half * 0.12,
        )


def music(canvas: Canvas) -> None:
    """Draw staves with notes, and a violin."""
    canvas.gradient(canvas.shade((252, 244, 222), 4), canvas.shade((240, 226, 192), 6))
    for top in (canvas.number(12, 18), canvas.number(58, 64)):
        _stave(canvas, top, canvas.count(2, 3))
    _violin(canvas, canvas.number(76, 82), canvas.number(0.92, 1.04))


def _stave(canvas: Canvas, top: float, notes: int) -> None:
    gap = 6.0
    for line in range(5):
        canvas.box(3, top + line * gap, 56, 0.9, (96, 84, 78))
    for note in range(notes):
        x = 12 + 44 * (note + 0.4) / notes + canvas.number(-2, 2)
        _note(canvas, x, top + gap * canvas.count(4, 8) / 2, canvas.count(0, 1) == 1)


def _note(canvas: Canvas, x: float, y: float, flag: bool) -> None:
    canvas.disc(x, y, 4.6, BLACK, 0.76)
    canvas.box(x + 2.8, y - 21, 1.7, 21, BLACK)
    if flag:
        canvas.polygon([(x + 3, y - 21), (x + 10, y - 13), (x + 9, y - 8), (x + 3, y - 15)], BLACK)


def _violin(canvas: Canvas, x: float, scale: float) -> None:
    wood = canvas.pick([(164, 78, 28), (142, 60, 24), (180, 96, 36)])
    dark = (70, 30, 16)
    half = [(0, 38), (8, 38.5), (13, 44), (13, 51), (8.5, 56), (8, 62), (10, 66), (15.5, 71)]
    half += [(17, 79), (14, 88), (7, 93), (0, 94)]
    right = [(x + scale * dx, y) for dx, y in half]
    canvas.polygon([*right, *((2 * x - px, y) for px, y in reversed(right))], wood)
    canvas.line([*right, *((2 * x - px, y) for px, y in reversed(right))], dark, 1.6)
    canvas.box(x - 2, 12, 4, 52, BLACK)
    canvas.disc(x, 9, 4, dark)
    for y in (14, 20):
        canvas.box(x - 6, y, 12, 2.2, dark)
    for side in (-1, 1):
        canvas.line([(x + side * 8, 63), (x + side * 6.5, 69), (x + side * 8.5, 75)], BLACK, 1.5)
        canvas.box(x + side * 1.2 - 0.4, 14, 0.7, 70, (236, 226, 206))
    canvas.box(x - 5, 70, 10, 2, (236, 206, 150))
    canvas.polygon([(x - 3, 76), (x + 3, 76), (x + 2, 90), (x - 2, 90)], BLACK)


def football(canvas: Canvas) -> None:
    """Draw a pitch before a crowd, with a goal and a ball."""
    edge = canvas.number(17, 22)
    _crowd(canvas, edge)
    green = canvas.shade((46, 150, 52))
    stripes, turn = canvas.count(6, 8), canvas.count(0, 1)
    for stripe in range(stripes):
        top = edge + (100 - edge) * (stripe / stripes) ** 1.3
        light = 22 * ((stripe + turn) % 2)
        canvas.box(0, top, 101, 101 - top, (green[0] + light, green[1] + light, green[2] + light))
    x = canvas.number(42, 58)
    box = [(x - 40, edge + 23), (x + 40, edge + 23), (x + 54, edge + 52), (x - 54, edge + 52)]
    canvas.line([*box, box[0]], WHITE, 1.4)
    _goal(canvas, x, edge + 24, canvas.number(24, 29))
    _ball(canvas, canvas.number(26, 74), canvas.number(74, 80), canvas.number(13, 17))


def _crowd(canvas: Canvas, edge: float) -> None:
    canvas.box(0, 0, 101, edge, (58, 62, 84))
    colours = (RED, WHITE, GOLD, (70, 110, 200), (230, 180, 150))
    for _ in range(90):
        canvas.disc(canvas.number(0, 100), canvas.number(0, edge - 5), 1.5, canvas.pick(colours))
    canvas.box(0, edge - 4, 101, 4, canvas.pick([(230, 230, 236), (40, 80, 170), GOLD]))


def _goal(canvas: Canvas, x: float, foot: float, half: float) -> None:
    top = foot - 29
    for step in range(1, 10):
        across = x - half + 2 * half * step / 10
        canvas.line([(across, top), (across, foot)], (196, 214, 204), 0.5)
        down = top + 29 * step / 10
        canvas.line([(x - half, down), (x + half, down)], (196, 214, 204), 0.5)
    frame = [(x - half, foot), (x - half, top), (x + half, top), (x + half, foot)]
    canvas.line(frame, (255, 255, 255), 2.6)


def _ball(canvas: Canvas, x: float, y: float, radius: float) -> None:
    turn = canvas.number(0, 2 * pi)
    canvas.disc(x + 2, y + radius, radius, (24, 92, 34), 0.26)
    canvas.disc(x, y, radius, BLACK)
    canvas.disc(x, y, radius * 0.94, (252, 252, 252))
    inner = around(x, y, radius * 0.38, 5, turn)
    outer = around(x, y, radius * 0.7, 5, turn)
    canvas.polygon(inner, BLACK)
    for corner in range(5):
        canvas.line([inner[corner], outer[corner]], BLACK, radius * 0.07)
        angle = 2 * pi * corner / 5 + turn
        rim = [(0.7, 0.0), (0.8, 0.24), (0.95, 0.2), (0.95, -0.2), (0.8, -0.24)]
        canvas.polygon(
            [
                point
                for distance, side in rim
                for point in around(x, y, radius * distance, 1, angle + side * 1.3)
            ],
            BLACK,
        )


def stars(canvas: Canvas) -> None:
    """Draw stars and a moon over a hill."""
    canvas.gradient(canvas.shade((8, 10, 44), 5), canvas.shade((52, 40, 110)))
    for _ in range(canvas.count(40, 60)):
        canvas.disc(canvas.number(0, 100), canvas.number(0, 86), canvas.number(0.4, 0.9), WHITE)
    for _ in range(canvas.count(6, 9)):
        _star(canvas, canvas.number(5, 95), canvas.number(5, 76), canvas.number(3, 6))
    _moon(canvas, canvas.number(26, 74), canvas.number(26, 40), canvas.number(17, 22))
    hill = canvas.number(20, 80)
    canvas.disc(hill, 112, 70, (10, 10, 26), 0.36)


def _star(canvas: Canvas, x: float, y: float, radius: float) -> None:
    tips, dents = around(x, y, radius, 5), around(x, y, radius * 0.4, 5, pi / 5)
    points = [point for pair in zip(tips, dents, strict=True) for point in pair]
    canvas.polygon(points, canvas.shade((255, 236, 150)))


def _moon(canvas: Canvas, x: float, y: float, radius: float) -> None:
    tilt, bulge = canvas.number(-0.6, 0.6), canvas.number(-0.5, -0.2)
    angles = [pi * step / 30 for step in range(31)]
    outline = [(sin(angle), cos(angle)) for angle in angles]
    outline += [(-bulge * sin(angle), cos(angle)) for angle in reversed(angles)]
    turned = [
        (dx * cos(tilt) - dy * sin(tilt), dx * sin(tilt) + dy * cos(tilt)) for dx, dy in outline
    ]
    canvas.polygon(
        [(x + radius * dx, y + radius * dy) for dx, dy in turned], canvas.shade((250, 244, 206), 5)
    )


def railway(canvas: Canvas) -> None:
    """Draw an engine that pulls a wagon, under its steam."""
    canvas.gradient(canvas.shade((250, 190, 130)), canvas.shade((255, 232, 196)), 0, 76)
    canvas.disc(canvas.number(0, 100), 80, canvas.number(50, 70), (206, 172, 120), 0.3)
    canvas.box(0, 74, 101, 27, canvas.shade((132, 116, 104)))
    _rails(canvas, canvas.number(0, 9))
    x = canvas.number(-4, 4)
    colour = canvas.pick([(186, 30, 36), (30, 92, 66), (36, 66, 140)])
    _wagon(canvas, x - 12, canvas.pick([(120, 66, 40), (94, 30, 40), (196, 150, 60)]))
    _engine(canvas, x + 46, colour)
    for puff in range(canvas.count(4, 6)):
        canvas.disc(
            x + 85 - puff * 11 + canvas.number(-2, 2),
            20 - puff * 1.5,
            4.5 + puff * 0.9,
            canvas.shade((240, 236, 232)),
            0.85,
        )


def _rails(canvas: Canvas, start: float) -> None:
    for sleeper in range(-1, 12):
        x = start + sleeper * 9
        canvas.polygon([(x, 79), (x + 4, 79), (x + 2, 95), (x - 3, 95)], (78, 50, 34))
    for y in (80.5, 91):
        canvas.box(0, y, 101, 2.2, (206, 208, 214))
        canvas.box(0, y + 2.2, 101, 1, (66, 66, 72))


def _wheel(canvas: Canvas, x: float, radius: float) -> None:
    canvas.disc(x, 82 - radius, radius, BLACK)
    canvas.disc(x, 82 - radius, radius * 0.62, (150, 150, 156))
    canvas.disc(x, 82 - radius, radius * 0.25, BLACK)


def _wagon(canvas: Canvas, x: float, colour: Colour) -> None:
    canvas.box(x, 44, 52, 32, colour)
    canvas.rounded(x - 2, 40, 56, 6, (66, 58, 60))
    for window in range(3):
        canvas.box(x + 6 + window * 15, 50, 10, 11, (255, 240, 170))
    canvas.box(x + 50, 70, 12, 3, BLACK)
    for wheel in (x + 20, x + 42):
        _wheel(canvas, wheel, 6)


def _engine(canvas: Canvas, x: float, colour: Colour) -> None:
    canvas.rounded(x + 14, 46, 34, 24, colour)
    canvas.box(x, 36, 19, 38, colour)
    canvas.rounded(x - 2, 32, 23, 5, BLACK)
    canvas.box(x + 4, 41, 11, 12, (255, 240, 170))
    canvas.polygon([(x + 35, 28), (x + 45, 28), (x + 42.5, 47), (x + 37.5, 47)], BLACK)
    canvas.disc(x + 28, 46, 4, GOLD)
    for band in (25, 34):
        canvas.box(x + band, 47, 1.4, 22, GOLD)
    canvas.disc(x + 48, 52, 2.6, (255, 246, 180))
    canvas.box(x, 68, 48, 6, (52, 48, 54))
    canvas.polygon([(x + 46, 70), (x + 54, 80), (x + 42, 80)], (150, 30, 34))
    _wheel(canvas, x + 10, 8)
    for wheel in (x + 26, x + 38):
        _wheel(canvas, wheel, 5.6)


def garden(canvas: Canvas) -> None:
    """Draw flowers on a lawn, before a fence."""
    lawn = canvas.number(30, 36)
    canvas.gradient(canvas.shade((150, 214, 250)), canvas.shade((214, 240, 250)), 0, lawn)
    canvas.gradient(canvas.shade((150, 206, 84)), canvas.shade((96, 168, 52)), lawn, 100)
    _fence(canvas, lawn - 16, canvas.number(0, 7))
    for _ in range(40):
        x, y = canvas.number(0, 100), canvas.number(lawn + 4, 100)
        canvas.line([(x, y), (x + canvas.number(-1, 1), y - 4)], canvas.shade((70, 140, 44)), 0.7)
    flowers = canvas.count(7, 9)
    for flower in range(flowers):
        depth = flower / (flowers - 1)
        x = 10 + 80 * (flower * 0.382 % 1) + canvas.number(-5, 5)
        _flower(canvas, x, 42 + 34 * depth + canvas.number(-2, 2), 5.5 + 5 * depth)


def _fence(canvas: Canvas, top: float, start: float) -> None:
    for rail in (top + 5, top + 13):
        canvas.box(0, rail, 101, 2.4, (226, 222, 214))
    for picket in range(-1, 13):
        x = start + picket * 8.4
        points = [(x, top + 3), (x + 2.4, top), (x + 4.8, top + 3), (x + 4.8, top + 20)]
        canvas.polygon([*points, (x, top + 20)], WHITE)


def _flower(canvas: Canvas, x: float, y: float, radius: float) -> None:
    green = (36, 108, 40)
    canvas.line([(x, y), (x, y + radius * 2.6)], green, radius * 0.24)
    for side in (-1, 1):
        tip = (x + side * radius * 0.9, y + radius * 1.4)
        canvas.polygon(
            [(x, y + radius * 2.3), (x + side * radius * 0.2, y + radius * 1.6), tip], green
        )
    petal = canvas.pick([(236, 60, 130), (250, 250, 250), (160, 80, 210), (240, 70, 60)])
    for px, py in around(x, y, radius * 0.66, canvas.count(5, 7), canvas.number(0, 1)):
        canvas.disc(px, py, radius * 0.44, petal)
    canvas.disc(x, y, radius * 0.42, canvas.shade((252, 206, 40)))


def hospital(canvas: Canvas) -> None:
    """Draw a hospital with a red cross, sometimes with an ambulance."""
    canvas.gradient(canvas.shade((170, 204, 206)), canvas.shade((220, 234, 232)), 0, 84)
    canvas.gradient(canvas.shade((150, 156, 160)), canvas.shade((118, 122, 128)), 84, 100)
    top, left = canvas.number(34, 40), canvas.number(5, 9)
    white = canvas.shade((240, 243, 246), 4)
    canvas.box(left, top, 100 - 2 * left, 87 - top, white)
    canvas.box(left - 2, top - 2, 104 - 2 * left, 3, (176, 186, 194))
    columns = canvas.count(2, 3)
    for row in range(canvas.count(3, 4)):
        for x in (left + 3, 69):
            _windows(canvas, x, top + 6 + row * 11, 28 - left, columns)
    _tower(canvas, top - canvas.number(20, 26), white)
    if canvas.count(0, 1):
        _ambulance(canvas, canvas.number(4, 12) + 54 * canvas.count(0, 1))


def _windows(canvas: Canvas, x: float, y: float, width: float, columns: int) -> None:
    for column in range(columns):
        glass = canvas.pick([(110, 160, 190), (130, 178, 204), (90, 136, 168)])
        canvas.box(x + width * column / columns, y, width / columns - 2.5, 6.5, glass)


def _tower(canvas: Canvas, top: float, white: Colour) -> None:
    canvas.box(32, top, 36, 87 - top, (196, 204, 212))
    canvas.box(33, top + 1, 34, 86 - top, white)
    size = canvas.number(11, 13)
    middle, thick = top + 18, size * 0.36
    canvas.box(50 - size, middle - thick, 2 * size, 2 * thick, RED)
    canvas.box(50 - thick, middle - size, 2 * thick, 2 * size, RED)
    canvas.box(39, 68, 22, 19, (86, 130, 156))
    canvas.box(49.3, 68, 1.4, 19, white)
    canvas.box(36, 64, 28, 4, RED)


def _ambulance(canvas: Canvas, x: float) -> None:
    canvas.box(x, 76, 24, 17, WHITE)
    canvas.polygon([(x + 24, 80), (x + 29, 80), (x + 33, 87), (x + 33, 93), (x + 24, 93)], WHITE)
    canvas.polygon([(x + 25, 82), (x + 28.5, 82), (x + 31, 87), (x + 25, 87)], (90, 130, 160))
    canvas.box(x, 88, 33, 2.4, RED)
    canvas.box(x + 7, 80.5, 8, 2.6, RED)
    canvas.box(x + 9.7, 78, 2.6, 7.6, RED)
    canvas.box(x + 19, 74, 4, 2, (40, 90, 220))
    for wheel in (x + 7, x + 26):
        canvas.disc(wheel, 93.5, 3.6, BLACK)


def market(canvas: Canvas) -> None:
    """Draw two stalls with fruit, and coins before them."""
    canvas.gradient(canvas.shade((238, 214, 170)), canvas.shade((226, 190, 140)), 0, 78)
    canvas.gradient(canvas.shade((196, 178, 158)), canvas.shade((172, 152, 134)), 78, 100)
    top = canvas.number(12, 20)
    awnings = [RED, (30, 130, 90), (40, 90, 180), (236, 126, 30)]
    first = canvas.count(0, 3)
    for stall in range(2):
        colour = canvas.shade(awnings[(first + stall * canvas.count(1, 3)) % 4])
        _stall(canvas, 3 + 49 * stall, top + canvas.number(-2, 2), 45, colour)
    for _ in range(canvas.count(4, 7)):
        _coin(canvas, canvas.number(8, 92), canvas.number(92, 96), canvas.number(4, 5))


def _stall(canvas: Canvas, x: float, top: float, width: float, colour: Colour) -> None:
    canvas.box(x + 3, top + 20, width - 6, 42, (92, 62, 50))
    for post in (x + 2, x + width - 4):
        canvas.box(post, top + 18, 2, 68 - top, (128, 84, 50))
    fruits = [(226, 44, 40), (250, 150, 30), (140, 190, 50), (250, 214, 60), (120, 50, 130)]
    first = canvas.count(0, 4)
    for crate in range(2):
        left, wide = x + 1 + crate * width / 2, width / 2 - 2
        _pile(canvas, left, 62, wide, canvas.shade(fruits[(first + crate * 2) % 5]))
    canvas.box(x, 62, width, 24, canvas.shade((170, 116, 66)))
    for board in (69.0, 77.0):
        canvas.box(x, board, width, 1, (112, 72, 40))
    _awning(canvas, x - 2, top, width + 4, colour)


def _pile(canvas: Canvas, x: float, floor: float, width: float, colour: Colour) -> None:
    radius = width / 8
    for row in range(3):
        for column in range(4 - row):
            fruit = canvas.shade(colour)
            middle = x + radius * (1 + row + 2 * column)
            canvas.disc(middle, floor - radius * (0.6 + 1.6 * row), radius, fruit)
            canvas.disc(middle - 0.7, floor - radius * (0.9 + 1.6 * row), radius * 0.3, WHITE)


def _awning(canvas: Canvas, x: float, top: float, width: float, colour: Colour) -> None:
    stripes = 2 * canvas.count(2, 3) + 1
    step = width / stripes
    inner = (width - 6) / stripes
    for stripe in range(stripes):
        fill = WHITE if stripe % 2 else colour
        left, high = x + stripe * step, x + 3 + stripe * inner
        canvas.disc(left + step / 2, top + 20, step / 2, fill)
        canvas.polygon(
            [(high, top), (high + inner, top), (left + step, top + 20), (left, top + 20)], fill
        )


def _coin(canvas: Canvas, x: float, y: float, radius: float) -> None:
    canvas.disc(x, y + 1.4, radius, (150, 104, 20), 0.6)
    canvas.disc(x, y, radius, canvas.shade(GOLD), 0.6)
    canvas.disc(x, y, radius * 0.66, (255, 228, 120), 0.6)


SCENES = {
    scene.__name__: scene
    for scene in (sea, mountains, bakery, music, football, stars, railway, garden, hospital, market)
}


def main() -> None:
    """Draw the pictures of the default corpus from the generator that also draws its texts."""
    random = np.random.default_rng(0)
    names = list(SCENES)
    scenes: dict[str, list[Any]] = {name: [] for name in names}
    insets: dict[str, list[Any]] = {name: [] for name in names}
    steps = []
    for number in range(400):
        # What demo_corpus draws before the picture.
        theme, other = number % len(names), int(random.integers(len(names)))
        mixed = other != theme and random.random() < 0.4
        random.choice(16, size=4 - mixed, replace=False)
        if mixed:
            random.choice(16, size=1, replace=False)
        for language in range(3):
            random.permutation(4)
            if language:
                random.random()
        counted = np.random.PCG64()
        counted.state = random.bit_generator.state
        canvas = Canvas(256, random)
        SCENES[names[theme]](canvas)
        scenes[names[theme]].append(canvas.commands)
        if mixed:
            corner = int(random.integers(4))
            canvas = Canvas(92, random)
            SCENES[names[other]](canvas)
            insets[names[other]].append([corner, canvas.commands])
        now: Any = random.bit_generator.state
        taken = 0
        while counted.state["state"] != now["state"]:
            counted.advance(1)
            taken += 1
        steps.append([taken, now["has_uint32"], now["uinteger"]])
        random.random()
    content = {"scenes": scenes, "insets": insets, "generator": steps}
    text = json.dumps(content, separators=(",", ":"))
    ASSET.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{ASSET}: {ASSET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
