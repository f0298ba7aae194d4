"""A canvas of twice the size, in units of its height, and the few strokes that everything is drawn with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from random import Random

from PIL import Image, ImageDraw

from .palettes import Colour, mix

__all__ = ["SCALE", "Canvas", "Points", "jagged", "rolling"]

SCALE = 2  # drawn at twice the size and shrunk, which smooths every edge

Points = Sequence[tuple[float, float]]


class Canvas:
    """x runs from 0 to `wide`, y from 0 at the top to 1."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.wide = width / height
        self.unit = height * SCALE
        self.image = Image.new("RGB", (width * SCALE, height * SCALE))
        self.draw = ImageDraw.Draw(self.image)

    def fade(self, stops: Sequence[tuple[float, Colour]], top: float = 0.0, bottom: float = 1.0) -> Image.Image:
        """A picture of the canvas' size that goes through these colours from top to bottom."""
        column = Image.new("RGB", (1, 512))
        for row in range(512):
            share = min(1.0, max(0.0, (row / 511 - top) / max(1e-6, bottom - top)))
            column.putpixel((0, row), _between(stops, share))
        return column.resize(self.image.size, Image.Resampling.BILINEAR)

    def polygon(self, points: Points, colour: Colour) -> None:
        """A filled shape."""
        self.draw.polygon([(x * self.unit, y * self.unit) for x, y in points], fill=colour)

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """A stroke."""
        thick = max(1, round(width * self.unit))
        self.draw.line([(x * self.unit, y * self.unit) for x, y in points], fill=colour, width=thick, joint="curve")

    def disc(self, x: float, y: float, radius: float, colour: Colour, *, flat: float = 1.0) -> None:
        """A circle, or where it is flat an ellipse."""
        u = self.unit
        self.draw.ellipse(
            ((x - radius) * u, (y - radius * flat) * u, (x + radius) * u, (y + radius * flat) * u), fill=colour
        )

    def box(
        self, left: float, top: float, right: float, bottom: float, colour: Colour, *, round_by: float = 0.0
    ) -> None:
        """A rectangle, its corners rounded."""
        u = self.unit
        self.draw.rounded_rectangle((left * u, top * u, right * u, bottom * u), radius=round_by * u, fill=colour)

    def land(self, ridge: Points, light: Colour, shade: Colour) -> None:
        """Everything below a ridge, lighter at its top and darker towards the bottom."""
        top = min(y for _, y in ridge)
        mask = Image.new("L", self.image.size)
        outline = [(x * self.unit, y * self.unit) for x, y in [*ridge, (self.wide, 1.01), (0, 1.01)]]
        ImageDraw.Draw(mask).polygon(outline, fill=255)
        self.image.paste(self.fade(((0, light), (1, shade)), top, 1.0), mask=mask)

    def veil(self, x: float, y: float, radius: float, colour: Colour, strength: float, *, flat: float = 1.0) -> None:
        """A soft light or mist around a point: strongest there, nothing at its radius."""
        side = 96
        spot = Image.new("L", (side, side))
        spot.putdata([_soft(i % side, i // side, side, strength) for i in range(side * side)])
        wide, high = max(2, round(2 * radius * self.unit)), max(2, round(2 * radius * flat * self.unit))
        mask = spot.resize((wide, high), Image.Resampling.BICUBIC)
        corner = (round((x - radius) * self.unit), round((y - radius * flat) * self.unit))
        self.image.paste(colour, (*corner, corner[0] + wide, corner[1] + high), mask)

    def finished(self) -> Image.Image:
        """The picture in its own size."""
        return self.image.reduce(SCALE)


def rolling(chance: Random, wide: float, base: float, height: float, waves: float = 2.0) -> list[tuple[float, float]]:
    """A soft ridge around a height."""
    parts = [(height / n, waves * n * chance.uniform(0.7, 1.3), chance.uniform(0, math.tau)) for n in (1, 2, 3)]
    return [
        (x, base + sum(size * math.sin(often * x * 2 + begin) for size, often, begin in parts) / 2)
        for x in _across(wide, 160)
    ]


def jagged(chance: Random, wide: float, base: float, height: float, rough: float = 0.5) -> list[tuple[float, float]]:
    """A ridge of peaks, by halving: each middle is pushed up or down, less at each step."""
    heights = [chance.uniform(-0.3, 0.3), chance.uniform(-0.3, 0.3)]
    for step in range(8):
        push = rough**step
        halved: list[float] = []
        for left, right in zip(heights, heights[1:], strict=False):
            halved += [left, (left + right) / 2 + chance.uniform(-push, push) * (1 if step else 1.2)]
        heights = [*halved, heights[-1]]
    low, high = min(heights), max(heights)
    return [
        (x, base - height * (height_of_point - low) / (high - low))
        for x, height_of_point in zip(_across(wide, len(heights) - 1), heights, strict=True)
    ]


def _across(wide: float, steps: int) -> Iterable[float]:
    return [wide * i / steps for i in range(steps + 1)]


def _between(stops: Sequence[tuple[float, Colour]], share: float) -> Colour:
    for (before, first), (after, second) in zip(stops, stops[1:], strict=False):
        if share <= after:
            return mix(first, second, (share - before) / (after - before))
    return stops[-1][1]


def _soft(x: int, y: int, side: int, strength: float) -> int:
    middle = (side - 1) / 2
    away = math.hypot(x - middle, y - middle) / middle
    return round(255 * strength * (1 - away) ** 2) if away < 1 else 0
