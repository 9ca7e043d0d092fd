"""A market."""

from octis_m3l.data.pictures.canvas import GOLD, RED, WHITE, Canvas, Colour


def draw_market(canvas: Canvas) -> None:
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
