"""A boat on the sea."""

from math import pi, sin

from octis_m3l.data.pictures.canvas import RED, WHITE, Canvas, Colour, Point


def draw_sea(canvas: Canvas) -> None:
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
