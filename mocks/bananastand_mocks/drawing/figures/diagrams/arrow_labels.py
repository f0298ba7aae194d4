"""Finds places for the words on arrows.

A careful search leaves out what would lie on a box, a line or another word; a careless one takes the middle of the
longest piece, as a first draft does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .graph import Graph
from .layout import EDGE, Layout
from .lettering import measure
from .routing import Point

__all__ = ["Label", "place_labels"]

Area = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Label:
    """Words beside an arrow; (x, y) is their middle."""

    arrow: int
    text: str
    x: float
    y: float
    size: float


def place_labels(graph: Graph, plan: Layout, *, careful: bool) -> list[Label]:
    """The labels that have a place; arrows of one source that say the same say it once."""
    size = EDGE * min(plan.scale, 1.3)
    boxes = [(b.x - b.width / 2, b.y - b.height / 2, b.x + b.width / 2, b.y + b.height / 2) for b in plan.boxes]
    taken: list[Area] = []
    found: list[Label] = []
    placed: set[tuple[int, str]] = set()
    for place, arrow in enumerate(graph.arrows):
        if not arrow.label or (arrow.source, arrow.label) in placed:
            continue
        width, height = measure(arrow.label, size, style="italic") + 3, size * 1.25
        lines = (
            []
            if not careful
            else [_area(a, b, 1.2) for path in plan.paths for a, b in zip(path, path[1:], strict=False)]
        )
        for x, y in _candidates(plan.paths[place], width, height, careful=careful):
            area = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            inside = area[0] >= 1 and area[2] <= plan.size[0] - 1 and area[1] >= 1 and area[3] <= plan.size[1] - 1
            if inside and not any(_intersect(area, other) for other in (*boxes, *taken, *lines)):
                found.append(Label(place, arrow.label, x, y, size))
                taken.append(area)
                placed.add((arrow.source, arrow.label))
                break
    return found


def _candidates(path: Sequence[Point], width: float, height: float, *, careful: bool) -> list[Point]:
    """Above, below or beside each piece of the path, the longest piece and the last first."""
    pieces = list(zip(path, path[1:], strict=False))
    order = sorted(range(len(pieces)), key=lambda i: -_length(pieces[i]) - (12 if i == len(pieces) - 1 else 0))
    found: list[Point] = []
    for i in order[: 1 if not careful else None]:
        (x1, y1), (x2, y2) = pieces[i]
        for share in (0.5,) if not careful else (0.5, 0.35, 0.65, 0.2, 0.8):
            x, y = x1 + (x2 - x1) * share, y1 + (y2 - y1) * share
            if abs(y1 - y2) < 0.01:
                found += [(x, y - height * 0.5 - 2.2), (x, y + height * 0.5 + 2.2)]
            else:
                found += [(x + width / 2 + 3, y), (x - width / 2 - 3, y)]
    return found


def _length(piece: tuple[Point, Point]) -> float:
    return abs(piece[0][0] - piece[1][0]) + abs(piece[0][1] - piece[1][1])


def _area(a: Point, b: Point, wide: float) -> Area:
    return (min(a[0], b[0]) - wide, min(a[1], b[1]) - wide, max(a[0], b[0]) + wide, max(a[1], b[1]) + wide)


def _intersect(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
