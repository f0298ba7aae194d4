"""Methodology diagrams: a text becomes boxes and arrows on a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..figure import Figure, FigureError
from ..sizes import RESOLUTIONS, pixels
from ..studio import INK, MUTED, PALETTE, displayable, missing_glyphs_note, save, studio, tint
from .arrow_labels import place_labels
from .graph import Box, Graph, Kind
from .graph_json import read_graph
from .layout import DETAIL, LABEL, LINE, SMALL_LINE, Layout, Rectangle, arrange
from .lettering import caption_lines, measure
from .reader import read
from .routing import Point

__all__ = ["draw"]

INCHES = 8.0  # the longer side, at any resolution
AUTO = ("16:9", "3:2", "21:9", "4:3", "1:1", "3:4")  # what is chosen from
CAPTION, CAPTION_LINE, CAPTION_LINES = 10.0, 13.5, 4
CAPTION_LETTERS = 360  # of which some four lines are made
CAPTION_GAP = 14.0
BORDER = 14.0
LINE_COLOUR, BACK_COLOUR = "#4A4E55", "#B5530F"
BLUE, ORANGE, GREEN, RED, PINK = PALETTE[:5]
FILLS: dict[Kind, tuple[str, Any]] = {
    "data": ("#8A9099", "#F4F5F7"),
    "model": (BLUE, tint(BLUE, 0.13)),
    "store": (PINK, tint(PINK, 0.17)),
    "loss": (RED, tint(RED, 0.13)),
    "step": (GREEN, tint(GREEN, 0.12)),
}
RESULT = (ORANGE, tint(ORANGE, 0.18))
NAMES: dict[Kind, str] = {
    "data": "data",
    "model": "models",
    "store": "stores",
    "loss": "losses and exclusions",
    "step": "steps",
}


def draw(
    source_context: str,
    caption: str,
    *,
    aspect_ratio: str | None = None,
    image_resolution: str | None = None,
    iterations: int = 3,
    formats: Sequence[str] = ("png",),
    graph: dict[str, Any] | None = None,
) -> Figure:
    """Draws a method as boxes and arrows above its caption; the same call gives the same bytes.

    Args:
        source_context: The method's description.
        caption: The figure's caption.
        aspect_ratio: One of RATIOS; None or `auto` for the one that shows the diagram largest.
        image_resolution: One of RESOLUTIONS; None for 2K.
        iterations: Rounds of layout, 1 to 10.
        formats: Files beside the PNG: svg, pdf.
        graph: Boxes and arrows as `read_graph` takes them; with it the text is not read.

    Raises:
        FigureError: Nothing to draw, or an option that is unknown or out of range.
    """
    longest = RESOLUTIONS.get(image_resolution or "2K")
    if longest is None:
        raise FigureError(f"image_resolution must be one of: {', '.join(RESOLUTIONS)}", "image_resolution")
    if not 1 <= iterations <= 10:
        raise FigureError("iterations must be between 1 and 10", "iterations")
    caption = " ".join(caption[: 4 * CAPTION_LETTERS].split())[:CAPTION_LETTERS]
    names = AUTO if aspect_ratio in (None, "auto") else (aspect_ratio,)
    sizes = [pixels(name, longest) for name in names]
    full_graph = read(source_context, caption) if graph is None else read_graph(graph)
    with studio():
        graph_shown = Graph(
            [_displayable_box(box) for box in full_graph.boxes],
            [replace(a, label=displayable(a.label, 24)) for a in full_graph.arrows],
            [replace(frame, title=displayable(frame.title, 80)) for frame in full_graph.frames],
        )
        plans = [_lay_out(graph_shown, caption, size, iterations) for size in sizes]
        best = max(range(len(plans)), key=lambda i: plans[i][0].scale * (1 - 0.02 * i))
        files = _drawn(graph_shown, *plans[best], sizes[best], iterations, formats)
        lacking = missing_glyphs_note(
            (caption, *(text for box in full_graph.boxes for text in (box.label, *box.details)))
        )
    description = _describe(full_graph, plans[best][0], caption, iterations)
    return Figure(files, f"{description} {lacking}." if lacking else description, *sizes[best])


def _displayable_box(box: Box) -> Box:
    return replace(box, label=displayable(box.label, 60), details=[displayable(detail, 48) for detail in box.details])


def _lay_out(
    graph: Graph, caption: str, size: tuple[int, int], iterations: int
) -> tuple[Layout, list[Any], tuple[float, float]]:
    """The plan on what the caption leaves of the sheet, the caption's lines, and the sheet's size in points."""
    sheet = (size[0] / max(size) * INCHES * 72, size[1] / max(size) * INCHES * 72)
    lines = caption_lines(displayable(caption, CAPTION_LETTERS), CAPTION, sheet[0] - 4 * BORDER, CAPTION_LINES)
    free = (sheet[0] - 2 * BORDER, sheet[1] - 2 * BORDER - (len(lines) * CAPTION_LINE + CAPTION_GAP if lines else 0))
    return arrange(graph, free, iterations), lines, sheet


def _drawn(
    graph: Graph,
    plan: Layout,
    lines: list[Any],
    sheet: tuple[float, float],
    size: tuple[int, int],
    iterations: int,
    formats: Sequence[str],
) -> dict[str, bytes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Sheet

    figure: Any = Sheet(figsize=(sheet[0] / 72, sheet[1] / 72), dpi=max(size) / INCHES)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    top, bottom = _vertical_extent(plan)
    below = bottom + CAPTION_GAP + CAPTION_LINE * len(lines) if lines else bottom
    shift = (top + below - sheet[1]) / 2  # drawing and caption stand in the middle together
    axes.set_xlim(-BORDER, sheet[0] - BORDER)
    axes.set_ylim(sheet[1] + shift, shift)
    axes.axis("off")
    for frame, at in zip(graph.frames, plan.frames, strict=True):
        _frame(axes, frame.title, at, plan.scale)
    ends = {arrow.source for arrow in graph.arrows}
    for place, path in enumerate(plan.paths):
        _arrow(axes, path, plan.scale, back=place in plan.back)
    for place, (box, rectangle) in enumerate(zip(graph.boxes, plan.boxes, strict=True)):
        last = box.kind == "data" and place not in ends and bool(graph.arrows)
        _box(axes, box, rectangle, plan.scale, last=last and not box.implied)
    for label in place_labels(graph, plan, careful=iterations > 1):
        axes.text(
            label.x,
            label.y,
            label.text,
            fontsize=label.size,
            style="italic",
            ha="center",
            va="center",
            color=BACK_COLOUR if label.arrow in plan.back else MUTED,
            zorder=5,
        )
    for i, line in enumerate(lines):
        y = bottom + CAPTION_GAP + (i + 0.7) * CAPTION_LINE
        for word in line:
            axes.text(
                word.x + BORDER, y, word.text, fontsize=CAPTION, weight="bold" if word.bold else "normal", va="baseline"
            )
    return save(figure, formats)


def _vertical_extent(plan: Layout) -> tuple[float, float]:
    """The highest and the lowest point of the drawing."""
    ends = [y for path in plan.paths for _, y in path] + [y for _, top, _, bottom in plan.frames for y in (top, bottom)]
    ends += [at.y + side * at.height / 2 for at in plan.boxes for side in (-1, 1)]
    return min(ends), max(ends)


def _box(axes: Any, box: Box, at: Rectangle, scale: float, *, last: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    edge, fill = RESULT if last else FILLS[box.kind]
    corner = min(at.height / 2, (12 if box.kind == "data" else 4) * scale)
    axes.add_patch(
        FancyBboxPatch(
            (at.x - at.width / 2, at.y - at.height / 2),
            at.width,
            at.height,
            boxstyle=f"round,pad=0,rounding_size={corner}",
            facecolor="white" if box.implied else fill,
            edgecolor=edge,
            linewidth=1.1 * min(scale, 1.3),
            linestyle=(0, (4, 3)) if box.implied else "-",
            zorder=3,
        )
    )
    if box.kind == "store":
        _rim(axes, at, edge, scale)
    y = at.y - (LINE * len(at.lines) + SMALL_LINE * len(at.details)) * scale / 2
    for line in at.lines:
        axes.text(
            at.x,
            y + LINE * scale / 2,
            line,
            fontsize=LABEL * scale,
            ha="center",
            va="center_baseline",
            zorder=4,
            weight="bold" if box.kind == "model" else "normal",
            color=INK,
        )
        y += LINE * scale
    for line in at.details:
        axes.text(
            at.x,
            y + SMALL_LINE * scale / 2,
            line,
            fontsize=DETAIL * scale,
            ha="center",
            va="center_baseline",
            color=MUTED,
            zorder=4,
        )
        y += SMALL_LINE * scale


def _frame(axes: Any, title: str, at: tuple[float, float, float, float], scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    left, top, right, bottom = at
    axes.add_patch(
        FancyBboxPatch(
            (left, top),
            right - left,
            bottom - top,
            boxstyle=f"round,pad=0,rounding_size={6 * scale}",
            facecolor="#F5F9FC",
            edgecolor=BLUE,
            linewidth=1,
            zorder=1,
        )
    )
    size = min(LABEL * scale, LABEL * scale * (right - left - 12) / measure(title, LABEL * scale, "bold"))
    axes.text(
        left + 6 * scale,
        top + LINE * 0.75 * scale,
        title,
        fontsize=size,
        weight="bold",
        color=BLUE,
        va="center_baseline",
        zorder=1.5,
    )


def _rim(axes: Any, at: Rectangle, edge: str, scale: float) -> None:
    """A second line below a store's top, as on a drum."""
    top = at.y - at.height / 2 + 3.2 * scale
    axes.plot(
        [at.x - at.width / 2 + 1.5 * scale, at.x + at.width / 2 - 1.5 * scale],
        [top, top],
        color=edge,
        linewidth=0.8 * min(scale, 1.3),
        zorder=3.5,
        solid_capstyle="round",
    )


def _arrow(axes: Any, path: list[Point], scale: float, *, back: bool) -> None:
    """A line with round corners and a head at its end; what leads back is dashed and of another colour."""
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    colour = BACK_COLOUR if back else LINE_COLOUR
    size = 5.2 * min(scale, 1.3)
    (x, y), (x0, y0) = path[-1], path[-2]
    length = max(abs(x - x0) + abs(y - y0), 0.01)
    dx, dy = (x - x0) / length, (y - y0) / length
    shaft = [*path[:-1], (x - dx * size * 0.8, y - dy * size * 0.8)]
    points, codes = [shaft[0]], [Path.MOVETO]
    for before, corner, after in zip(shaft, shaft[1:], shaft[2:], strict=False):
        radius = min(4.5 * scale, _distance(before, corner) / 2, _distance(corner, after) / 2)
        points += [_point_towards(corner, before, radius), corner, _point_towards(corner, after, radius)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    points.append(shaft[-1])
    codes.append(Path.LINETO)
    axes.add_patch(
        PathPatch(
            Path(points, codes),
            facecolor="none",
            edgecolor=colour,
            linewidth=1.15 * min(scale, 1.3),
            linestyle=(0, (4, 2.2)) if back else "-",
            capstyle="butt",
            zorder=2,
        )
    )
    side = (-dy * size * 0.48, dx * size * 0.48)
    base = (x - dx * size, y - dy * size)
    axes.add_patch(
        Polygon(
            [(x, y), (base[0] + side[0], base[1] + side[1]), (base[0] - side[0], base[1] - side[1])],
            closed=True,
            facecolor=colour,
            edgecolor="none",
            zorder=2.5,
        )
    )


def _distance(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _point_towards(start: Point, end: Point, distance: float) -> Point:
    length = max(_distance(start, end), 0.01)
    return start[0] + (end[0] - start[0]) * distance / length, start[1] + (end[1] - start[1]) * distance / length


def _describe(graph: Graph, plan: Layout, caption: str, iterations: int) -> str:
    """What the diagram shows, in a few sentences."""
    names = [box.label for box in graph.boxes]
    sentences = [
        f"The diagram shows {len(names)} {'box' if len(names) == 1 else 'boxes'} and {len(graph.arrows)} "
        f"{'arrow' if len(graph.arrows) == 1 else 'arrows'} for {caption!r}"
    ]
    for kind, name in NAMES.items():
        if of := [box.label for box in graph.boxes if box.kind == kind and not box.implied]:
            sentences.append(f"{name[0].upper() + name[1:]}: {', '.join(of)}")
    sentences += [
        f"A frame, {frame.title}, holds {', '.join(names[i] for i in frame.members)}" for frame in graph.frames
    ]
    if implied := [box.label for box in graph.boxes if box.implied]:
        sentences.append(f"Implied, not named by the text: {', '.join(implied)}")
    flows = [f"{names[a.source]} -> {names[a.target]}{f' ({a.label})' if a.label else ''}" for a in graph.arrows]
    sentences += [f"Flow: {'; '.join(flows)}"] if flows else []
    crossed = f"{plan.crossings} crossing{'' if plan.crossings == 1 else 's'} of arrows left"
    sentences.append(
        f"Laid out {'downwards' if plan.down else 'to the right'} in {iterations} iteration"
        f"{'' if iterations == 1 else 's'}, {crossed}"
    )
    return ". ".join(sentences) + "."
