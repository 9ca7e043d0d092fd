"""A bakery."""

from octis_m3l.data.pictures.canvas import Canvas, Colour


def draw_bakery(canvas: Canvas) -> None:
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
