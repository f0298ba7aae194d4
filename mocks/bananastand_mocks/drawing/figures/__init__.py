"""Figures for papers as functions of plain values.

`plots.draw`, `diagrams.draw` and `composite.draw` return a Figure, `paper.read` a Paper, `stylist.optimize` a text; all
raise FigureError. Drawing libraries are imported when first needed.
"""

from .figure import Figure, FigureError

__all__ = ["Figure", "FigureError"]
