"""The sky at night."""

from math import cos, pi, sin

from octis_m3l.data.pictures.canvas import WHITE, Canvas, around


def draw_stars(canvas: Canvas) -> None:
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
