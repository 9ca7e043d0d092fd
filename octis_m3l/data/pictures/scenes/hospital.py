"""A hospital."""

from octis_m3l.data.pictures.canvas import BLACK, RED, WHITE, Canvas, Colour


def draw_hospital(canvas: Canvas) -> None:
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
