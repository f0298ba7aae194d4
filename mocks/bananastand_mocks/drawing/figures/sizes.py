"""Pixel sizes for PaperBanana's aspect ratios and resolutions. Every size has exactly the ratio it was asked for."""

from __future__ import annotations

from .figure import FigureError

__all__ = ["RATIOS", "RESOLUTIONS", "pixels", "ratio"]

RATIOS = ("1:1", "5:4", "2:3", "3:2", "3:4", "4:5", "4:3", "9:16", "16:9", "21:9")
RESOLUTIONS = {"1K": 1024, "2K": 2048, "4K": 4096}  # the longer side has at most so many pixels


def ratio(name: str) -> tuple[int, int]:
    """Width and height of a ratio such as 16:9. Raises FigureError."""
    if name not in RATIOS:
        raise FigureError(f"aspect_ratio must be one of: auto, {', '.join(RATIOS)}", "aspect_ratio")
    width, height = name.split(":")
    return int(width), int(height)


def pixels(name: str, longest: int) -> tuple[int, int]:
    """The largest size of the ratio with even sides that are not longer than `longest`. Raises FigureError."""
    width, height = ratio(name)
    unit = longest // max(width, height)
    unit -= unit % 2
    return width * unit, height * unit
