"""Statistical plots: JSON data and a sentence about them become a chart."""

from __future__ import annotations

from .plot import draw

__all__ = ["draw"]
