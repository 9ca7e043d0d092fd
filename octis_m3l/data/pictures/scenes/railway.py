"""A railway."""

from octis_m3l.data.pictures.canvas import BLACK, GOLD, Canvas, Colour


def draw_railway(canvas: Canvas) -> None:
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
