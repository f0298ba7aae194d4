"""Methodology diagrams: a text becomes boxes and arrows on a sheet."""

from __future__ import annotations

from .diagram import draw

__all__ = ["draw"]
