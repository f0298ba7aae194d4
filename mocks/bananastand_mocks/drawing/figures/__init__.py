"""What PaperBanana draws and reads, as functions of plain values. Knows no task, key, world or HTTP.

`plot.draw`, `diagram.draw` and `composite.draw` give a Figure, `paper.read` a Paper, `stylist.optimize` a text. What is
well formed and still cannot be drawn or read is FigureError. Drawing libraries are imported when first needed.
"""

from .figure import Figure, FigureError

__all__ = ["Figure", "FigureError"]
