"""Colours by name, and the palettes of the times of day."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

__all__ = ["COLOURS", "LIGHTS", "Colour", "Palette", "mix", "palette"]

Colour = tuple[int, int, int]


def _hex(text: str) -> Colour:
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)


COLOUR_TABLE = """
    red=d64541 crimson=b5243c orange=f08a3c yellow=f5c842 gold=e0b040 golden=e0b040 green=4f9d5b emerald=2e9e78
    teal=2f9c95 turquoise=45c1b8 cyan=52c5dc blue=3f78c9 navy=27407a indigo=4b4fa6 purple=8a56ac violet=9a66c4
    lavender=b7a2dc magenta=c94f9b pink=ec8fb0 brown=8a5a3c beige=dcc9a3 white=f6f4ee black=2a2833 gray=8e939c
    grey=8e939c silver=bcc3cc
"""
COLOURS: dict[str, Colour] = {
    name: _hex(value) for name, _, value in (pair.partition("=") for pair in COLOUR_TABLE.split())
}


@dataclass(frozen=True, slots=True)
class Palette:
    """A light: the sky from top to horizon, its sun or moon, land from far to near, and something to stand out."""

    top: Colour
    middle: Colour
    horizon: Colour
    sun: Colour
    far: Colour
    near: Colour
    accent: Colour
    dark: bool = False


LIGHTS: dict[str, Palette] = {
    name: Palette(*(_hex(value) for value in values.split()), dark=name in ("night", "neon"))
    for name, values in {
        "sunset": "46356f c9567a fbb06a ffe3a0 a8587f 2e2347 f2785c",
        "dawn": "6f9bd1 f2b7b0 fde3c0 fff3cf b39ac0 43506f f08d77",
        "day": "4a9be0 93cbf0 e3f4f8 fff7d6 7fb0b4 2f6f55 f0b43c",
        "night": "0f1738 26336b 56619c f2efdc 39477f 0c1226 f0c766",
        "storm": "3c4657 677485 a9b3b8 e8e6da 6c7a83 27313a d9a24b",
        "autumn": "6aa0bf e6c79a fbe4b6 fff0c2 c4895a 5a2f22 d9622b",
        "winter": "7fa4cc c3d7ea f2f5f8 fffdf0 a9c0d8 3c5878 d96b6b",
        "spring": "86c5e8 d0e6ee fde9ee fff6d8 a7cfa6 3f7f5c ef86a8",
        "neon": "150a35 5b1a78 e83f8f ffd35c 5a2a94 0d0722 35e0e8",
        "mist": "8fa6ad b9c7c6 e6e8dd f8f3dc a2b5b3 3a5358 cf8a5b",
    }.items()
}


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour that lies `share` of the way from the first to the second."""
    return (
        round(first[0] + (second[0] - first[0]) * share),
        round(first[1] + (second[1] - first[1]) * share),
        round(first[2] + (second[2] - first[2]) * share),
    )


def palette(light: str, turn: float, tint: Colour | None, sky: Colour | None) -> Palette:
    """The palette of a light, its hues turned, leaning to a tint, under a sky of a colour of its own."""
    base = LIGHTS[light]
    top, middle, horizon, sun, far, near, accent = (
        _turned(value, turn)
        for value in (base.top, base.middle, base.horizon, base.sun, base.far, base.near, base.accent)
    )
    if tint is not None:
        middle, far, near = mix(middle, tint, 0.35), mix(far, tint, 0.5), mix(near, _dim(tint), 0.45)
        accent = tint
    if sky is not None:
        top, middle, horizon = _dim(sky), sky, mix(sky, (255, 255, 245), 0.55)
    return Palette(top, middle, horizon, sun, far, near, accent, base.dark)


def _turned(colour: Colour, turn: float) -> Colour:
    hue, light, strength = colorsys.rgb_to_hls(*(value / 255 for value in colour))
    red, green, blue = colorsys.hls_to_rgb((hue + turn) % 1, light, strength)
    return round(red * 255), round(green * 255), round(blue * 255)


def _dim(colour: Colour) -> Colour:
    return mix(colour, (20, 18, 40), 0.45)
