"""Draws pictures from words: a scene, a time of day, what stands in it, a finish. Load it on first use."""

from __future__ import annotations

from .drawing import draw, redraw

__all__ = ["draw", "redraw"]
