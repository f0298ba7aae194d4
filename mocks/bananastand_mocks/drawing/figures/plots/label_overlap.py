"""Separates labels of a chart that touch, some in each round.

Words below the axis are slanted, numbers there get fewer, values on bars get smaller, and names of points move to the
side that is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .intent import Kind

__all__ = ["separate_labels"]

SIDES = (
    (0, 1),
    (0, -1),
    (1, 0),
    (-1, 0),
    (1, 1),
    (-1, 1),
    (1, -1),
    (-1, -1),
)  # of a point, the first free one is taken
GAP, MARK = 5.0, 3.8  # points between a point and its name, and from a point's middle to its edge
SLANT, SMALLEST = 35.0, 5.5
APART = 1.5  # pixels

Area = tuple[float, float, float, float]  # left, bottom, right, top, in pixels


def separate_labels(sheet: Any, axes: Any, kind: Kind, rounds: int) -> int:
    """Mend so often as there are rounds, or until nothing touches; how many labels still do."""
    if kind == "heat map":  # its numbers are sized to their cells when they are drawn
        return 0
    for rounds_left in range(rounds, -1, -1):
        sheet.draw_without_rendering()
        ticks = _tick_labels(axes)
        texts = [text for text in axes.texts if text.get_text()]
        areas = [_area(text) for text in texts]
        crowded, touching = _count_crowded(ticks), _touching_labels(areas)
        if not rounds_left or not (crowded or touching):
            return len(touching) + crowded
        if crowded:
            _make_room_below(axes, ticks)
        if touching and kind in ("scatter", "line"):
            _move_names(axes, texts, areas, touching)
        elif touching:
            _shrink_values(texts)
    return 0


def _area(text: Any) -> Area:
    extent = text.get_window_extent()
    return extent.x0, extent.y0, extent.x1, extent.y1


def _touching_labels(boxes: Sequence[Area]) -> set[int]:
    return {place for i, a in enumerate(boxes) for j, b in enumerate(boxes[:i]) if _overlaps(a, b) for place in (i, j)}


def _overlaps(a: Area, b: Area) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > -APART and min(a[3], b[3]) - max(a[1], b[1]) > 0


def _tick_labels(axes: Any) -> list[Any]:
    return [label for label in axes.get_xticklabels() if label.get_text() and label.get_visible()]


def _count_crowded(ticks: Sequence[Any]) -> int:
    """How many labels of the x axis touch the one before; slanted ones touch where their lines do."""
    boxes = [_area(label) for label in ticks]
    if ticks and ticks[0].get_rotation():
        if ticks[0].get_rotation() > SLANT:
            return 0
        tall = ticks[0].get_fontsize() / 72 * ticks[0].get_figure().dpi * 1.1
        return sum(b[2] - a[2] < tall for a, b in zip(boxes, boxes[1:], strict=False))
    return sum(_overlaps(a, b) for a, b in zip(boxes, boxes[1:], strict=False))


def _make_room_below(axes: Any, ticks: Sequence[Any]) -> None:
    """Make room below the axis: names are slanted, then turned; of numbers there are fewer."""
    from matplotlib.ticker import FixedLocator, MaxNLocator

    locator = axes.xaxis.get_major_locator()
    if isinstance(locator, FixedLocator):
        turned = 90.0 if ticks[0].get_rotation() else SLANT
        for label in ticks:
            label.set(rotation=turned, ha="right", va="center_baseline", rotation_mode="anchor")
    elif isinstance(locator, MaxNLocator):
        locator.set_params(nbins=max(2, len(ticks) - 3))


def _shrink_values(texts: Sequence[Any]) -> None:
    """Values on bars are made smaller, all alike; the smallest are turned."""
    for label in texts:
        if label.get_fontsize() > SMALLEST:
            label.set_fontsize(max(SMALLEST, label.get_fontsize() - 1))
        else:
            label.set(rotation=90)


def _move_names(axes: Any, texts: Sequence[Any], boxes: list[Area], touching: set[int]) -> None:
    """Put names of points, one after the other, on the side where they cover least."""
    pixels = axes.get_figure().dpi / 72
    points = [tuple(axes.transData.transform(area.xy)) for area in texts]
    half = MARK * pixels
    marks = [(x - half, y - half, x + half, y + half) for x, y in points]
    frame = axes.get_window_extent()
    for place in sorted(touching):
        (x, y), box = points[place], boxes[place]
        wide, tall = box[2] - box[0], box[3] - box[1]
        others = [area for i, area in enumerate(boxes) if i != place]
        others += [area for i, area in enumerate(marks) if i != place]

        def cost(
            side: tuple[int, int],
            x: float = x,
            y: float = y,
            wide: float = wide,
            tall: float = tall,
            others: Sequence[Area] = others,
        ) -> tuple[int, float]:
            moved = _area_beside(x, y, wide, tall, side, GAP * pixels)
            out = max(0.0, frame.x0 - moved[0], moved[2] - frame.x1, frame.y0 - moved[1], moved[3] - frame.y1)
            return sum(_overlaps(moved, area) for area in others) + 2 * (out > 0), out

        side = min(SIDES, key=cost)
        boxes[place] = _area_beside(x, y, wide, tall, side, GAP * pixels)
        texts[place].set_position((side[0] * GAP, side[1] * GAP))
        texts[place].set(ha=("center", "left", "right")[side[0]], va=("center", "bottom", "top")[side[1]])


def _area_beside(x: float, y: float, wide: float, tall: float, side: tuple[int, int], gap: float) -> Area:
    left = x + side[0] * gap - wide * (1 - side[0]) / 2
    bottom = y + side[1] * gap - tall * (1 - side[1]) / 2
    return left, bottom, left + wide, bottom + tall
