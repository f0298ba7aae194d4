"""Things that stand in a scene or hang above it, one function each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random

from .canvas import Canvas
from .palettes import COLOURS, Colour, Palette, mix
from .scenes import tree

__all__ = ["ABOVE", "THINGS", "figure"]

Thing = Callable[[Canvas, Palette, Random, "Colour | None"], None]

ABOVE = ("stars", "sun", "moon", "rainbow", "clouds")  # drawn before the land


def _stars(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    for _ in range(round(150 * canvas.wide)):
        x, y = chance.uniform(0, canvas.wide), chance.uniform(0, 0.6)
        canvas.disc(x, y, 0.0012 + 0.0025 * chance.random() ** 3, colour or mix(palette.sun, (255, 255, 255), 0.5))


def _sun(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    x, y, size = canvas.wide * chance.uniform(0.3, 0.7), chance.uniform(0.28, 0.46), chance.uniform(0.07, 0.1)
    tone = mix(palette.sun, colour, 0.8) if colour else palette.sun
    canvas.veil(x, y, size * 5.5, tone, 0.75)
    canvas.disc(x, y, size, mix(tone, (255, 255, 250), 0.35))


def _moon(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    x, y, size = canvas.wide * chance.uniform(0.2, 0.8), chance.uniform(0.16, 0.3), 0.075
    tone = colour or mix(palette.sun, (250, 248, 235), 0.6)
    canvas.veil(x, y, size * 4, tone, 0.45)
    canvas.disc(x, y, size, tone)
    for dx, dy, spot in ((-0.3, -0.2, 0.2), (0.25, 0.3, 0.15), (0.2, -0.35, 0.1)):
        canvas.disc(x + size * dx, y + size * dy, size * spot, mix(tone, palette.top, 0.18))


def _rainbow(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    middle = canvas.wide * chance.uniform(0.4, 0.6)
    for i, name in enumerate(("red", "orange", "yellow", "green", "blue", "purple")):
        far = 0.62 - 0.02 * i
        arc = [(middle + far * 1.15 * math.cos(a / 30), 0.8 - far * math.sin(a / 30)) for a in range(96)]
        canvas.line(arc, mix(COLOURS[name], palette.horizon, 0.3), 0.021)


def _clouds(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    tone = colour or mix(palette.horizon, (255, 255, 255), 0.25 if palette.dark else 0.6)
    for _ in range(round(3 + 2 * canvas.wide)):
        x, y, size = chance.uniform(0, canvas.wide), chance.uniform(0.08, 0.42), chance.uniform(0.03, 0.06)
        shade = mix(tone, palette.middle, chance.uniform(0.05, 0.35))
        for part in range(6):
            dx, puff = (part - 2.5) * size * 0.95, size * (1.15 - abs(part - 2.5) * 0.26) * chance.uniform(0.8, 1.1)
            canvas.disc(x + dx, y - puff * 0.35, puff, shade, flat=0.72)
        canvas.box(x - size * 3, y - size * 0.2, x + size * 3, y + size * 0.36, shade, round_by=size * 0.28)


def _birds(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    for _ in range(8):
        x, y, size = canvas.wide * chance.uniform(0.15, 0.85), chance.uniform(0.12, 0.4), chance.uniform(0.012, 0.024)
        wing = [(x - size, y - size * 0.5), (x - size * 0.4, y - size * 0.7), (x, y), (x + size * 0.4, y - size * 0.7),
                (x + size, y - size * 0.5)]  # fmt: skip
        canvas.line(wing, colour or mix(palette.near, palette.top, 0.2), 0.004)


def _boat(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    x, y, size = canvas.wide * chance.uniform(0.3, 0.7), 0.78, 0.13
    hull = colour or mix(palette.accent, palette.near, 0.25)
    canvas.disc(x, y + size * 0.3, size * 1.1, mix(palette.near, palette.top, 0.3), flat=0.1)
    canvas.polygon(
        [(x - size, y), (x + size, y), (x + size * 0.65, y + size * 0.3), (x - size * 0.7, y + size * 0.3)], hull
    )
    canvas.line([(x, y), (x, y - size * 1.9)], (70, 50, 40), 0.006)
    canvas.polygon([(x + 0.006, y - size * 1.85), (x + size * 0.85, y - 0.02), (x + 0.006, y - 0.02)], (250, 246, 234))
    canvas.polygon(
        [(x - 0.006, y - size * 1.6), (x - size * 0.6, y - 0.02), (x - 0.006, y - 0.02)],
        mix(hull, (255, 255, 255), 0.5),
    )


def _balloons(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    for i in range(3):
        x, y = canvas.wide * (0.22 + 0.28 * i) + chance.uniform(-0.06, 0.06), chance.uniform(0.18, 0.42)
        size = chance.uniform(0.06, 0.1)
        tone = colour or (palette.accent, COLOURS["teal"], COLOURS["pink"])[i]
        canvas.polygon(
            [(x - size * 0.72, y + size * 0.7), (x + size * 0.72, y + size * 0.7), (x, y + size * 1.5)],
            mix(tone, (0, 0, 0), 0.12),
        )
        for part in range(5):
            shade = mix(tone, (255, 255, 250), 0.45) if part % 2 else tone
            canvas.disc(x, y, size * (1 - 0.23 * part), shade, flat=1 / (1 - 0.23 * part))
        for side in (-0.16, 0.16):
            canvas.line([(x + size * side, y + size * 1.3), (x + size * side, y + size * 1.62)], (80, 60, 50), 0.002)
        canvas.box(x - size * 0.2, y + size * 1.6, x + size * 0.2, y + size * 1.85, (120, 80, 50), round_by=0.004)


def _trees(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    leaf = colour or mix(palette.near, COLOURS["green"], 0.45)
    for _ in range(round(5 * canvas.wide)):
        x, y = chance.uniform(0, canvas.wide), chance.uniform(0.86, 0.98)
        tree(
            canvas,
            x,
            y,
            chance.uniform(0.16, 0.3),
            mix(leaf, palette.near, chance.uniform(0, 0.4)),
            pine=chance.random() < 0.5,
        )


def _house(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    x, y, size = canvas.wide * chance.uniform(0.3, 0.7), 0.87, 0.11
    wall = colour or (240, 226, 200)
    canvas.box(x - size, y - size * 1.1, x + size, y, wall)
    canvas.box(x + size * 0.4, y - size * 2.1, x + size * 0.65, y - size * 1.2, mix(palette.near, (120, 60, 50), 0.5))
    canvas.polygon(
        [(x - size * 1.2, y - size * 1.05), (x, y - size * 2.05), (x + size * 1.2, y - size * 1.05)],
        mix(palette.accent, (120, 50, 40), 0.45),
    )
    canvas.box(x - size * 0.2, y - size * 0.62, x + size * 0.2, y, (110, 74, 52), round_by=0.004)
    for side in (-0.65, 0.65):
        left = x + size * side
        canvas.box(left - size * 0.2, y - size * 0.8, left + size * 0.2, y - size * 0.4, (255, 222, 130))


def _tower(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    x, y, high = canvas.wide * chance.choice((0.2, 0.8)), 0.93, 0.52
    band = colour or palette.accent
    for i in range(6):
        low, top = y - high * i / 6, y - high * (i + 1) / 6
        lower, upper = 0.06 - 0.004 * i, 0.056 - 0.004 * i
        canvas.polygon(
            [(x - lower, low), (x + lower, low), (x + upper, top), (x - upper, top)], band if i % 2 else (248, 244, 236)
        )
    canvas.veil(x, y - high - 0.035, 0.22, palette.sun, 0.8)
    canvas.box(x - 0.034, y - high - 0.065, x + 0.034, y - high, (255, 236, 160))
    canvas.polygon(
        [(x - 0.048, y - high - 0.06), (x + 0.048, y - high - 0.06), (x, y - high - 0.13)], mix(band, (30, 20, 30), 0.4)
    )


def _rain(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    for _ in range(round(220 * canvas.wide)):
        x, y, size = chance.uniform(0, canvas.wide + 0.1), chance.uniform(-0.05, 1), chance.uniform(0.02, 0.05)
        canvas.line(
            [(x, y), (x - size * 0.25, y + size)],
            colour or mix(palette.horizon, palette.middle, chance.random()),
            0.0016,
        )


def _snow(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    for _ in range(round(190 * canvas.wide)):
        canvas.disc(
            chance.uniform(0, canvas.wide), chance.random(), chance.uniform(0.002, 0.007), colour or (252, 252, 255)
        )


def _flowers(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    tones = [colour] if colour else [palette.accent, COLOURS["pink"], COLOURS["yellow"], COLOURS["red"]]
    for y in sorted(chance.uniform(0.84, 1.0) for _ in range(round(34 * canvas.wide))):
        x, size, tone = chance.uniform(0, canvas.wide), 0.008 + (y - 0.84) * 0.09, chance.choice(tones)
        head = y - size * 4
        canvas.line([(x, y + 0.02), (x, head)], mix(palette.near, COLOURS["green"], 0.6), 0.004)
        for i in range(5):
            angle = math.tau * i / 5
            canvas.disc(x + size * 0.8 * math.cos(angle), head + size * 0.8 * math.sin(angle), size * 0.62, tone)
        canvas.disc(x, head, size * 0.5, COLOURS["gold"])


def _cactus(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    tone = colour or mix(COLOURS["green"], palette.near, 0.35)
    for x, size in ((canvas.wide * 0.22, 0.2), (canvas.wide * 0.8, 0.26)):
        y, thick = 0.92, size * 0.17
        canvas.box(x - thick, y - size, x + thick, y, tone, round_by=thick)
        for side, low in ((-1, 0.35), (1, 0.5)):
            arm, level = x + side * size * 0.42, y - size * low
            canvas.box(
                min(x, arm) - thick * 0.4,
                level - thick * 0.6,
                max(x, arm) + thick * 0.4,
                level + thick * 0.6,
                tone,
                round_by=thick * 0.6,
            )
            canvas.box(
                arm - thick * 0.65,
                level - size * 0.34,
                arm + thick * 0.65,
                level + thick * 0.6,
                tone,
                round_by=thick * 0.6,
            )


def _bananas(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    tone, x, y = colour or COLOURS["yellow"], canvas.wide / 2, 0.56
    for i, size in ((2, 0.30), (1, 0.32), (0, 0.34)):
        _banana(canvas, x - 0.03 * i, y - 0.045 * i, size, 0.16 * i - 0.1, mix(tone, (150, 90, 20), 0.16 * i))
    canvas.disc(x + 0.3, y + 0.02, 0.022, (96, 66, 40))


def _banana(canvas: Canvas, x: float, y: float, size: float, lean: float, tone: Colour) -> None:
    """A crescent, with a lighter band along it and dark ends."""

    def along(share: float, out: float) -> tuple[float, float]:
        angle = 0.15 + (math.pi - 0.3) * share + lean
        far = size * (1 + out * math.sin(math.pi * share) ** 0.7)
        return x + far * math.cos(angle), y + far * 0.85 * math.sin(angle)

    steps = [i / 40 for i in range(41)]
    canvas.polygon([*(along(step, 0.17) for step in steps), *(along(step, -0.2) for step in reversed(steps))], tone)
    band = [*(along(step, 0.02) for step in steps[3:-3]), *(along(step, -0.08) for step in reversed(steps[3:-3]))]
    canvas.polygon(band, mix(tone, (255, 250, 215), 0.45))
    canvas.disc(*along(0.99, 0), size * 0.055, (88, 62, 38))
    canvas.disc(*along(0.01, 0), size * 0.06, (110, 96, 40))


def _fruit(canvas: Canvas, palette: Palette, chance: Random, colour: Colour | None) -> None:
    for i in range(5):
        x, y, size = canvas.wide / 2 + (i - 2) * 0.12, 0.82 + 0.03 * (i % 2), chance.uniform(0.06, 0.08)
        tone = colour or COLOURS[chance.choice(("red", "green", "orange", "yellow", "crimson"))]
        canvas.disc(x, y, size, tone)
        canvas.disc(x - size * 0.3, y - size * 0.35, size * 0.28, mix(tone, (255, 255, 255), 0.45))
        canvas.line([(x, y - size * 0.9), (x + size * 0.15, y - size * 1.35)], (90, 60, 40), 0.006)


def figure(canvas: Canvas, palette: Palette, chance: Random, colours: list[Colour]) -> None:
    """Somebody seen from the front: hair, clothes and cape in the first three colours."""
    hair, clothes, cape = (colours * 3)[:3]
    x, y, size = canvas.wide * chance.uniform(0.36, 0.64), 0.97, 0.42
    skin, ground = (242, 200, 165), mix(palette.near, (10, 10, 20), 0.4)
    canvas.disc(x, y, size * 0.34, ground, flat=0.18)
    canvas.polygon(
        [
            (x - size * 0.13, y - size * 0.62),
            (x + size * 0.13, y - size * 0.62),
            (x + size * 0.34, y - size * 0.08),
            (x - size * 0.34, y - size * 0.08),
        ],
        cape,
    )
    for side in (-0.075, 0.075):
        canvas.box(
            x + size * side - size * 0.055,
            y - size * 0.3,
            x + size * side + size * 0.055,
            y,
            mix(clothes, (20, 20, 40), 0.55),
            round_by=0.01,
        )
        arm = x + size * side * 2.6
        canvas.line(
            [(x + size * side * 1.6, y - size * 0.57), (arm, y - size * 0.32)],
            mix(clothes, (255, 255, 255), 0.12),
            size * 0.085,
        )
        canvas.disc(arm, y - size * 0.31, size * 0.05, skin)
    canvas.box(x - size * 0.14, y - size * 0.64, x + size * 0.14, y - size * 0.25, clothes, round_by=size * 0.06)
    head = y - size * 0.79
    canvas.disc(x, head - size * 0.02, size * 0.185, hair)
    canvas.disc(x, head + size * 0.015, size * 0.15, skin)
    canvas.box(x - size * 0.15, head - size * 0.15, x + size * 0.15, head - size * 0.055, hair, round_by=size * 0.05)
    for side in (-0.055, 0.055):
        canvas.disc(x + size * side, head + size * 0.02, size * 0.018, (50, 40, 50))
    smile = [(x + size * 0.055 * math.cos(a / 10), head + size * (0.06 + 0.03 * math.sin(a / 10))) for a in range(32)]
    canvas.line(smile, (160, 80, 80), size * 0.012)


THINGS: Mapping[str, Thing] = {
    "stars": _stars,
    "sun": _sun,
    "moon": _moon,
    "rainbow": _rainbow,
    "clouds": _clouds,
    "birds": _birds,
    "boat": _boat,
    "tower": _tower,
    "house": _house,
    "trees": _trees,
    "cactus": _cactus,
    "flowers": _flowers,
    "fruit": _fruit,
    "bananas": _bananas,
    "balloons": _balloons,
    "rain": _rain,
    "snow": _snow,
}
