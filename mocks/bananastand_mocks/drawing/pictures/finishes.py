"""Finishes: what a style does to a drawn picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

__all__ = ["FINISHES"]

Picture = Image.Image


def _noise(size: tuple[int, int], cell: int, lot: int, low: int, high: int) -> Picture:
    """Soft spots of about `cell` pixels, between two greys."""
    grid = (max(2, size[1] // cell), max(2, size[0] // cell))
    spots = np.random.default_rng(lot).integers(low, high, grid, dtype=np.uint8)
    return Image.fromarray(spots).resize(size, Image.Resampling.BICUBIC)


def _watercolor(picture: Picture, lot: int) -> Picture:
    """Pigment that gathers and thins out, soft edges, on paper with a ragged white border."""
    small = picture.reduce(3).filter(ImageFilter.ModeFilter(7)).filter(ImageFilter.GaussianBlur(1))
    wash = ImageEnhance.Color(small.resize(picture.size, Image.Resampling.BICUBIC)).enhance(1.2)
    wash = Image.blend(wash, Image.new("RGB", wash.size, (255, 252, 244)), 0.22)
    pigment = ImageChops.multiply(_noise(wash.size, 120, lot, 218, 255), _noise(wash.size, 22, lot + 1, 236, 255))
    wash = ImageChops.multiply(wash, Image.merge("RGB", [pigment] * 3))
    border = Image.new("L", wash.size, 0)
    margin = wash.height // 22
    border.paste(255, (margin, margin, wash.width - margin, wash.height - margin))
    border = border.filter(ImageFilter.BoxBlur(margin // 2))
    ragged = ImageChops.add(border, _noise(wash.size, 34, lot + 2, 0, 90), offset=-45)
    edge = ragged.point([max(0, min(255, (level - 110) * 9)) for level in range(256)])
    return Image.composite(wash, Image.new("RGB", wash.size, (253, 250, 243)), edge)


def _pixel(picture: Picture, lot: int) -> Picture:
    """Some hundred large pixels of 24 colours."""
    share = min(1.0, 96 / min(picture.size))
    small = picture.resize([max(1, round(side * share)) for side in picture.size], Image.Resampling.BOX)
    few = small.quantize(24, dither=Image.Dither.NONE).convert("RGB")
    return few.resize(picture.size, Image.Resampling.NEAREST)


def _sketch(picture: Picture, lot: int) -> Picture:
    """Pencil: edges and tones on paper, with a little of the colour."""
    grey = ImageOps.grayscale(picture)
    softened = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(7))
    dodged = np.minimum(255, np.asarray(grey, np.float32) * 255 / np.maximum(1, 255 - np.asarray(softened, np.float32)))
    lines = Image.fromarray(dodged.astype(np.uint8)).point([max(0, int((level - 90) * 1.55)) for level in range(256)])
    tone = Image.blend(picture, Image.new("RGB", picture.size, (250, 247, 240)), 0.62)
    grain = _noise(picture.size, 2, lot, 226, 255)
    return ImageChops.multiply(
        ImageChops.multiply(tone, Image.merge("RGB", [lines] * 3)), Image.merge("RGB", [grain] * 3)
    )


def _mono(picture: Picture, lot: int) -> Picture:
    """Greys with strong contrast."""
    return ImageOps.autocontrast(ImageOps.grayscale(picture), cutoff=1).convert("RGB")


def _vintage(picture: Picture, lot: int) -> Picture:
    """A faded print: warm, with darker corners."""
    toned = ImageOps.colorize(ImageOps.grayscale(picture), (48, 30, 24), (255, 240, 208), mid=(176, 128, 92))
    faded = Image.blend(picture, toned, 0.68)
    shade = Image.radial_gradient("L").resize(faded.size).point([255 - max(0, level - 120) for level in range(256)])
    return ImageChops.multiply(faded, Image.merge("RGB", [shade] * 3))


def _oil(picture: Picture, lot: int) -> Picture:
    """Dabs: patches of the commonest colour, pushed about a little, with their edges raised."""
    small = picture.reduce(2)
    chance = Random(lot)
    for _ in range(2):
        moved = ImageChops.offset(small, chance.randint(-3, 3), chance.randint(-3, 3))
        small = Image.composite(small, moved, _noise(small.size, 9, chance.randrange(2**32), 0, 255))
    dabs = small.filter(ImageFilter.ModeFilter(7)).resize(picture.size, Image.Resampling.BICUBIC)
    relief = ImageOps.grayscale(dabs).filter(ImageFilter.EMBOSS)
    return ImageEnhance.Color(ImageChops.add(dabs, Image.merge("RGB", [relief] * 3), offset=-126)).enhance(1.25)


FINISHES: Mapping[str, Callable[[Picture, int], Picture]] = {
    "watercolor": _watercolor,
    "pixel": _pixel,
    "sketch": _sketch,
    "mono": _mono,
    "vintage": _vintage,
    "oil": _oil,
}
