"""Aspect ratios by their names, and the pixels they stand for."""

from __future__ import annotations

__all__ = ["SHORT_SIDE", "pixels"]

SHORT_SIDE = 1024
NAMED = {"square": "1:1", "portrait": "9:16", "landscape": "16:9"}


def pixels(ratio: str) -> tuple[int, int]:
    """Width and height; the shorter side has 1024 pixels, as in B:96-97."""
    wide, high = (int(side) for side in NAMED.get(ratio, ratio).split(":"))
    unit = SHORT_SIDE / min(wide, high)
    return round(wide * unit), round(high * unit)
