"""Chooses the layout that shows a graph largest on a given sheet.

Tried are flows to the right and downwards, in one band or several, with texts broken at several widths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .graph import Graph
from .layering import Layering, layered
from .lettering import break_lines, measure
from .placement import Places, Shape, place
from .routing import Point, route, tracks

__all__ = ["DETAIL", "EDGE", "LABEL", "LINE", "SMALL_LINE", "Layout", "Rectangle", "arrange"]

LABEL, DETAIL, EDGE = 10.0, 7.6, 7.8  # sizes of letters before scaling
LINE, SMALL_LINE, PADDING = 12.4, 9.6, (18.0, 15.0)
WIDTHS = (62.0, 78.0, 96.0, 120.0)  # of the texts in boxes
WIDEST = 150.0  # a longer word is cut
MARGIN = 16.0  # around the whole, for what runs outside the boxes
FOLD, FOLD_DOWN = 0.9, 0.8  # what a fold costs: reading upwards is harder than reading to the left
FRAME = 8.0  # between a frame and its boxes
TURNED = 0.85  # and each further arrow that is led around a band's end
LARGEST = 1.3  # a small graph is not blown up further


@dataclass(frozen=True)
class Rectangle:
    """A box on the sheet: its middle and size, and its text in lines that fit."""

    x: float
    y: float
    width: float
    height: float
    lines: list[str]
    details: list[str]


@dataclass
class Layout:
    """Everything in points on a sheet of `size`; letters are `scale` times their size."""

    size: tuple[float, float]
    scale: float
    boxes: list[Rectangle]
    paths: list[list[Point]]
    back: set[int]
    crossings: int
    down: bool
    frames: list[tuple[float, float, float, float]] = field(default_factory=list[tuple[float, float, float, float]])


@dataclass(frozen=True)
class _Text:
    lines: list[list[str]]
    details: list[list[str]]
    width: float
    heights: list[float]


def arrange(graph: Graph, size: tuple[float, float], iterations: int) -> Layout:
    """The best of all layouts tried; more iterations order and straighten more, the first takes all as it comes."""
    layers = layered(graph, 2 * (iterations - 1))
    options: list[tuple[float, int, _Text, int, bool]] = []
    for number, room in enumerate(WIDTHS):
        text = _text(graph, room)
        for down in (False, True):
            for bands in _bands(graph, layers):
                places, _ = _placed(layers, text, graph, bands, down, iterations)
                width, height = _size(places, layers, graph, down)
                scale = min(LARGEST, size[0] / width, size[1] / height)
                turned = sum(len(k) - 1 for at, k in enumerate(layers.links) if places.band[at] != places.band[at + 1])
                fill = width * height * scale**2 / (size[0] * size[1])
                worth = scale * (FOLD_DOWN if down else FOLD) ** (bands - 1) * TURNED**turned * (0.97 if down else 1)
                options.append((worth * (0.8 + 0.2 * fill), -number, text, bands, down))
    _, _, text, bands, down = max(options, key=lambda option: option[:2])
    return _plan(graph, layers, text, bands, down, size, iterations)


def _plan(
    graph: Graph, layers: Layering, text: _Text, bands: int, down: bool, size: tuple[float, float], iterations: int
) -> Layout:
    """The layout at its scale, spread over the sheet where there is room."""
    places, shape = _placed(layers, text, graph, bands, down, iterations)
    width, height = _size(places, layers, graph, down)
    scale = min(LARGEST, size[0] / width, size[1] / height)
    columns = -(-len(layers.layers) // bands)
    rows = max(len(layer) for layer in layers.layers) * bands
    spare = [size[0] / scale - width, size[1] / scale - height]
    spare = spare[::-1] if down else spare
    air = (min(26.0, 0.8 * spare[0] / max(1, columns - 1)), min(24.0, 0.6 * spare[1] / max(1, rows - 1)))
    places, shape = _placed(layers, text, graph, bands, down, iterations, air)
    width, height = _size(places, layers, graph, down)
    scale = min(scale, size[0] / width, size[1] / height)
    paths = route(graph, layers, places, shape, careful=iterations > 1)
    reach = _reach(paths, places, layers, shape)
    centre = [(low + high) / 2 for low, high in reach]
    middle = (size[0] / 2, size[1] / 2)

    def on_sheet(along: float, across: float) -> Point:
        x, y = (across - centre[1], along - centre[0]) if down else (along - centre[0], across - centre[1])
        return middle[0] + x * scale, middle[1] + y * scale

    boxes = [
        Rectangle(
            *on_sheet(places.along[box], places.across[box]),
            text.width * scale,
            text.heights[box] * scale,
            text.lines[box],
            text.details[box],
        )
        for box in range(len(graph.boxes))
    ]
    frames = [_around([boxes[box] for box in frame.members], scale) for frame in graph.frames]
    return Layout(
        size,
        scale,
        boxes,
        [[on_sheet(*point) for point in path] for path in paths],
        set(layers.back),
        layers.crossings(),
        down,
        frames,
    )


def _around(boxes: list[Rectangle], scale: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a frame, with room for its title above."""
    left, right = min(b.x - b.width / 2 for b in boxes), max(b.x + b.width / 2 for b in boxes)
    top, bottom = min(b.y - b.height / 2 for b in boxes), max(b.y + b.height / 2 for b in boxes)
    return left - FRAME * scale, top - (FRAME + LINE + 4) * scale, right + FRAME * scale, bottom + FRAME * scale


def _bands(graph: Graph, layers: Layering) -> Sequence[int]:
    """The ways to fold: into bands of two layers at least, none that an arrow back would have to leave."""
    count = len(layers.layers)
    at = {slot: i for i, layer in enumerate(layers.layers) for slot in layer}
    ways = [(at[graph.arrows[i].source], at[graph.arrows[i].target]) for i in layers.back]
    found = [1]
    for bands in (2, 3, 4) if not graph.frames else ():
        columns = -(-count // bands)
        if columns >= 2 and (bands - 1) * columns < count and all(a // columns == b // columns for a, b in ways):
            found.append(bands)
    return found


def _text(graph: Graph, room: float) -> _Text:
    words = [(word, "bold" if box.kind == "model" else "normal") for box in graph.boxes for word in box.label.split()]
    room = max(room, min(WIDEST, max(measure(word, LABEL, weight) for word, weight in words) + 1))
    lines = [break_lines(box.label, LABEL, room, "bold" if box.kind == "model" else "normal") for box in graph.boxes]
    details = [[line for detail in box.details for line in break_lines(detail, DETAIL, room)] for box in graph.boxes]
    widest = max(
        [
            measure(line, LABEL, "bold" if box.kind == "model" else "normal")
            for box, of in zip(graph.boxes, lines, strict=True)
            for line in of
        ]
        + [measure(line, DETAIL) for of in details for line in of]
    )
    heights = [LINE * len(of) + SMALL_LINE * len(small) + PADDING[1] for of, small in zip(lines, details, strict=True)]
    usual = sorted(heights)[len(heights) // 2]
    return _Text(lines, details, widest + PADDING[0], [max(height, usual) for height in heights])


def _placed(
    layers: Layering,
    text: _Text,
    graph: Graph,
    bands: int,
    down: bool,
    iterations: int,
    air: tuple[float, float] = (0.0, 0.0),
) -> tuple[Places, Shape]:
    widths = [text.width] * len(graph.boxes)
    along, across = (text.heights, widths) if down else (widths, text.heights)
    labels = [0.0] * len(layers.links)
    for at, links in enumerate(layers.links):
        for link in links:
            if link.target < layers.boxes and (label := graph.arrows[link.arrow].label):
                labels[at] = max(labels[at], EDGE * 1.6 if down else measure(label, EDGE, style="italic") + 8)
    sources = {graph.arrows[i].source for i in layers.back}
    lanes = [sum(slot in sources for slot in layer) for layer in layers.layers]
    shape = Shape(along, across, bands, labels, tracks(layers), 2 * iterations - 1, lanes, air)
    return place(layers, shape), shape


def _size(places: Places, layers: Layering, graph: Graph, down: bool) -> tuple[float, float]:
    turns = 2 * max([0, *(n for i, n in enumerate(tracks(layers)) if places.band[i] != places.band[i + 1])])
    along = places.size[0] + 2 * MARGIN + turns * 9.0
    across = places.size[1] + 2 * MARGIN * 0.4
    width, height = (across, along) if down else (along, across)
    return (width, height + 2 * (FRAME + LINE)) if graph.frames else (width, height)


def _reach(paths: list[list[Point]], places: Places, layers: Layering, shape: Shape) -> list[tuple[float, float]]:
    """What the drawing covers, along and across."""
    found: list[tuple[float, float]] = []
    for axis, (at, sizes) in enumerate(((places.along, shape.along), (places.across, shape.across))):
        ends = [at[box] + side * sizes[box] / 2 for box in range(layers.boxes) for side in (-1, 1)]
        ends += [point[axis] for path in paths for point in path]
        found.append((min(ends), max(ends)))
    return found
