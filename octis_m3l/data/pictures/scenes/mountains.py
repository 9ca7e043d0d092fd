"""Mountains with snow on them."""

from octis_m3l.data.pictures.canvas import Canvas


def draw_mountains(canvas: Canvas) -> None:
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
