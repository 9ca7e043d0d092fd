"""Music."""

from octis_m3l.data.pictures.canvas import BLACK, Canvas


def draw_music(canvas: Canvas) -> None:
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
