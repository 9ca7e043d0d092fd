"""A football pitch."""

from math import pi

from octis_m3l.data.pictures.canvas import BLACK, GOLD, RED, WHITE, Canvas, around


def draw_football(canvas: Canvas) -> None:
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
