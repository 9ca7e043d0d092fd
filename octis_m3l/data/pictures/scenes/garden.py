"""A garden."""

from octis_m3l.data.pictures.canvas import WHITE, Canvas, around


def draw_garden(canvas: Canvas) -> None:
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
