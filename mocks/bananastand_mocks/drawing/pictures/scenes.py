"""The scenes: what lies under the sky. Each draws on a canvas whose sky is there already."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random

from .canvas import Canvas, jagged, rolling
from .palettes import Colour, Palette, mix

__all__ = ["HORIZON", "SCENES", "tree"]

Scene = Callable[[Canvas, Palette, Random], None]

HORIZON = {"sea": 0.62, "desert": 0.6, "city": 0.86, "table": 0.66}  # where the sky ends; 0.7 elsewhere


def tree(canvas: Canvas, x: float, y: float, high: float, colour: Colour, *, pine: bool) -> None:
    """A tree that stands at a point."""
    canvas.box(x - high * 0.035, y - high * 0.3, x + high * 0.035, y, mix(colour, (40, 25, 20), 0.6))
    if pine:
        for i in range(3):
            top, half = y - high * (1 - 0.24 * i), high * (0.17 + 0.07 * i)
            foot = top + high * 0.4
            canvas.polygon([(x, top), (x + half, foot), (x - half, foot)], mix(colour, (255, 255, 240), 0.07 * (2 - i)))
    else:
        for dx, dy, size in ((-0.16, 0.5, 0.2), (0.16, 0.52, 0.19), (0, 0.68, 0.26)):
            canvas.disc(x + high * dx, y - high * dy, high * size, mix(colour, (255, 255, 220), dy * 0.16))


def _mountains(canvas: Canvas, palette: Palette, chance: Random) -> None:
    for i in range(4):
        share = i / 3
        ridge = jagged(chance, canvas.wide, 0.66 + 0.1 * i, 0.38 - 0.07 * i, 0.52)
        colour = mix(mix(palette.far, palette.horizon, 0.45), palette.near, share)
        canvas.land(ridge, colour, mix(colour, palette.horizon, 0.35 * (1 - share)))
        if i == 0:
            _caps(canvas, ridge, mix(palette.horizon, (255, 255, 255), 0.55))
    for _ in range(round(26 * canvas.wide)):
        x, y = chance.uniform(0, canvas.wide), chance.uniform(0.93, 1.04)
        tree(canvas, x, y, chance.uniform(0.06, 0.13), mix(palette.near, (10, 10, 20), 0.35), pine=True)


def _caps(canvas: Canvas, ridge: list[tuple[float, float]], colour: Colour) -> None:
    """Snow on what is highest."""
    line = sorted(y for _, y in ridge)[len(ridge) // 5]
    for (x1, y1), (x2, y2) in zip(ridge, ridge[1:], strict=False):
        if min(y1, y2) < line:
            low = line + 0.02 * math.sin(x1 * 60)
            canvas.polygon([(x1, y1), (x2, y2), (x2, max(y2, low)), (x1, max(y1, low))], colour)


def _hills(canvas: Canvas, palette: Palette, chance: Random) -> None:
    for i in range(4):
        ridge = rolling(chance, canvas.wide, 0.6 + 0.11 * i, 0.09, 1.5)
        colour = mix(palette.far, palette.near, i / 3)
        canvas.land(ridge, mix(colour, palette.horizon, 0.3), mix(colour, palette.near, 0.3))
        for x, y in chance.sample(ridge, round((3 + 2 * i) * canvas.wide / 1.4)):
            high = chance.uniform(0.03, 0.05) * (1 + i)
            tree(canvas, x, y + 0.01, high, mix(colour, palette.near, 0.55), pine=chance.random() < 0.4)


def _sea(canvas: Canvas, palette: Palette, chance: Random) -> None:
    line = HORIZON["sea"]
    for _ in range(chance.randint(1, 2)):
        middle, half = chance.uniform(0, canvas.wide), chance.uniform(0.2, 0.5)
        hill = [(middle - half, line), (middle - half * 0.4, line - 0.07), (middle, line - 0.1), (middle + half, line)]
        canvas.polygon(hill, mix(palette.far, palette.horizon, 0.25))
    deep = mix(palette.near, palette.top, 0.5)
    canvas.land([(0, line), (canvas.wide, line)], mix(palette.horizon, palette.top, 0.45), deep)
    for _ in range(round(90 * canvas.wide)):
        y = line + 0.01 + (1 - line) * chance.random() ** 1.6
        near = (y - line) / (1 - line)
        x, half = chance.uniform(0, canvas.wide), chance.uniform(0.02, 0.06) * (0.4 + 1.6 * near)
        shine = mix(palette.horizon, palette.sun, chance.random())
        canvas.line([(x - half, y), (x + half, y)], mix(deep, shine, 0.25 + 0.35 * (1 - near)), 0.0015 + 0.003 * near)
    shore = rolling(chance, canvas.wide, 0.96, 0.04, 1.0)
    canvas.land([(x, y - 0.012) for x, y in shore], mix(palette.horizon, (255, 255, 255), 0.5), palette.horizon)
    canvas.land(shore, mix(palette.accent, (238, 214, 170), 0.8), mix(palette.near, (215, 180, 130), 0.7))


def _desert(canvas: Canvas, palette: Palette, chance: Random) -> None:
    sand = mix(palette.accent, (232, 184, 120), 0.6)
    for i in range(4):
        ridge = rolling(chance, canvas.wide, 0.6 + 0.11 * i, 0.1, 1.0)
        light = mix(mix(sand, palette.horizon, 0.5), sand, i / 3)
        canvas.land(ridge, light, mix(light, palette.near, 0.55))
        crest = min(range(len(ridge)), key=lambda at, line=ridge: line[at][1])
        side = ridge[crest : crest + 40]
        if len(side) > 2:
            fall = [(x + 0.05, y + 0.15 * n / len(side)) for n, (x, y) in enumerate(side)]
            canvas.polygon([*side, *reversed(fall)], mix(light, palette.near, 0.3))


def _city(canvas: Canvas, palette: Palette, chance: Random) -> None:
    for layer in range(3):
        colour = mix(mix(palette.far, palette.horizon, 0.35), palette.near, layer / 2)
        x = -0.05
        while x < canvas.wide:
            wide, top = chance.uniform(0.06, 0.14), chance.uniform(0.3, 0.6) + 0.11 * layer
            canvas.box(x, top, x + wide, 1.1, mix(colour, palette.horizon, chance.uniform(0, 0.12)))
            if chance.random() < 0.3:
                canvas.line([(x + wide / 2, top), (x + wide / 2, top - 0.06)], colour, 0.004)
            if layer:
                _windows(canvas, x, top, wide, mix(palette.accent, (255, 240, 190), 0.5), colour, chance)
            x += wide + chance.uniform(-0.005, 0.02)
    canvas.land([(0, 0.95), (canvas.wide, 0.95)], mix(palette.near, (20, 20, 30), 0.5), (18, 16, 28))


def _windows(canvas: Canvas, x: float, top: float, wide: float, lit: Colour, wall: Colour, chance: Random) -> None:
    columns, step = max(2, int(wide / 0.022)), 0.034
    for row in range(int((0.97 - top) / step)):
        for column in range(columns):
            if chance.random() < 0.45:
                left, y = x + wide * (column + 0.25) / columns, top + 0.02 + row * step
                colour = mix(wall, lit, chance.choice((0.35, 0.9)))
                canvas.box(left, y, left + wide * 0.5 / columns, y + step * 0.5, colour)


def _space(canvas: Canvas, palette: Palette, chance: Random) -> None:
    deep = mix(palette.top, (8, 8, 26), 0.8)
    canvas.image.paste(canvas.fade(((0, deep), (1, mix(deep, palette.far, 0.45)))))
    for _ in range(7):
        x, y = chance.uniform(0, canvas.wide), chance.uniform(0.1, 0.9)
        colour = chance.choice((palette.accent, palette.middle, palette.horizon, palette.far))
        canvas.veil(x, y, chance.uniform(0.3, 0.7), colour, 0.5, flat=0.6)
    for _ in range(round(240 * canvas.wide)):
        size = 0.0008 + 0.0022 * chance.random() ** 4
        canvas.disc(chance.uniform(0, canvas.wide), chance.random(), size, mix(palette.sun, (255, 255, 255), 0.6))
    for i in range(chance.randint(2, 3)):
        x, y = canvas.wide * (0.2 + 0.3 * i) + chance.uniform(-0.1, 0.1), chance.uniform(0.25, 0.75)
        _planet(canvas, x, y, chance.uniform(0.06, 0.2), palette, chance)


def _planet(canvas: Canvas, x: float, y: float, size: float, palette: Palette, chance: Random) -> None:
    colour = chance.choice((palette.accent, palette.middle, palette.far))
    canvas.veil(x, y, size * 1.7, palette.sun, 0.35)
    for i in range(24):  # lit from the upper left
        share = i / 23
        shade = mix(mix(colour, (6, 6, 20), 0.75), mix(colour, (255, 255, 245), 0.35), share)
        canvas.disc(x - size * 0.3 * share, y - size * 0.3 * share, size * (1 - 0.57 * share), shade)
    if chance.random() < 0.6:
        for i in range(3):
            far = size * (1.5 + 0.14 * i)
            ring = [(x + far * math.cos(a / 40), y + far * 0.28 * math.sin(a / 40)) for a in range(-8, 135)]
            canvas.line(ring, mix(colour, palette.horizon, 0.3 + 0.2 * i), size * 0.06)


def _forest(canvas: Canvas, palette: Palette, chance: Random) -> None:
    for i in range(4):
        colour = mix(mix(palette.far, palette.horizon, 0.5), palette.near, i / 3)
        ground = rolling(chance, canvas.wide, 0.74 + 0.08 * i, 0.03)
        canvas.land(ground, colour, mix(colour, palette.near, 0.5))
        for x, y in sorted(chance.sample(ground, round((16 - 2 * i) * canvas.wide)), key=lambda point: point[1]):
            shade = mix(colour, palette.accent if chance.random() < 0.2 else (20, 40, 30), 0.22)
            tree(canvas, x, y + 0.02, chance.uniform(0.22, 0.34) * (0.8 + 0.3 * i), shade, pine=chance.random() < 0.7)
        canvas.veil(canvas.wide / 2, 0.76 + 0.08 * i, canvas.wide * 0.7, palette.horizon, 0.3 - 0.07 * i, flat=0.12)


def _table(canvas: Canvas, palette: Palette, chance: Random) -> None:
    line, cloth = HORIZON["table"], mix(palette.near, palette.accent, 0.2)
    canvas.image.paste(canvas.fade(((0, palette.middle), (1, palette.horizon))))
    for i in range(round(canvas.wide / 0.14) + 1):
        canvas.box(i * 0.14, 0, i * 0.14 + 0.07, line, mix(palette.middle, palette.horizon, 0.35))
    canvas.land([(0, line), (canvas.wide, line)], mix(cloth, (255, 240, 220), 0.25), cloth)
    canvas.disc(canvas.wide / 2, 0.9, 0.36, mix(cloth, (15, 10, 25), 0.35), flat=0.13)


def _tiles(canvas: Canvas, palette: Palette, chance: Random) -> None:
    count = chance.choice((4, 5, 6))
    side = 1 / count
    colours = [palette.top, palette.middle, palette.horizon, palette.far, palette.near, palette.accent, palette.sun]
    for row in range(count):
        for column in range(math.ceil(canvas.wide / side)):
            left, top = column * side, row * side
            ground, ink, spot = chance.sample(colours, 3)
            canvas.box(left, top, left + side + 0.001, top + side + 0.001, ground)
            _motif(canvas, left, top, side, ink, spot, chance.randrange(5), chance.randrange(4))


def _motif(
    canvas: Canvas, left: float, top: float, side: float, ink: Colour, spot: Colour, kind: int, corner: int
) -> None:
    right, bottom = left + side, top + side
    if kind == 0:
        canvas.disc(left + side / 2, top + side / 2, side * 0.42, ink)
        canvas.disc(left + side / 2, top + side / 2, side * 0.2, spot)
    elif kind == 1:
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        canvas.polygon([point for i, point in enumerate(corners) if i != corner], ink)
    elif kind == 2:
        start = 180 * corner
        box = tuple(round(edge * canvas.unit) for edge in (left, top, right, bottom))
        canvas.draw.pieslice(box, start, start + 180, fill=ink)
    elif kind == 3:
        for i in range(3):
            y = top + side * (0.12 + 0.3 * i)
            canvas.box(left, y, right, y + side * 0.15, ink)
    else:
        half = side / 2
        middle = (left + half, top + half)
        canvas.polygon([(middle[0], top), (right, middle[1]), (middle[0], bottom), (left, middle[1])], ink)
        canvas.disc(*middle, side * 0.14, spot)


def _waves(canvas: Canvas, palette: Palette, chance: Random) -> None:
    colours = [palette.middle, palette.horizon, palette.accent, palette.far, palette.top, palette.near]
    count = chance.randint(7, 11)
    for i in range(count):
        ridge = rolling(chance, canvas.wide, 0.2 + 0.8 * i / count, 0.1, chance.uniform(0.8, 1.8))
        first, second = colours[i % 6], colours[(i + 1) % 6]
        canvas.land(ridge, first, mix(first, second, 0.6))
        canvas.line(ridge, mix(first, (255, 255, 245), 0.55), 0.003)


SCENES: Mapping[str, Scene] = {
    "mountains": _mountains,
    "hills": _hills,
    "sea": _sea,
    "desert": _desert,
    "city": _city,
    "space": _space,
    "forest": _forest,
    "table": _table,
    "tiles": _tiles,
    "waves": _waves,
}
