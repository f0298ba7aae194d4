"""Reads a graph from the JSON of a vision language model."""

from __future__ import annotations

from typing import Any, cast, get_args

from ..figure import FigureError
from .graph import Box, BoxFrame, Graph, Kind

__all__ = ["MOST_BOXES", "read_graph"]

MOST_BOXES = 30  # boxes
ARROWS, DETAILS, FRAMES = 60, 4, 4
FIELD = "graph"


def read_graph(value: dict[str, Any]) -> Graph:
    """Read the boxes, arrows and frames of a JSON object; leave out an arrow from a box to itself.

    Raises:
        FigureError: There is no box, there are too many boxes, arrows or frames, or a label or an end is invalid.
    """
    graph = Graph([_box(item) for item in _objects(value, "boxes", MOST_BOXES)])
    if not graph.boxes:
        raise FigureError("there are no boxes", FIELD)
    for item in _objects(value, "arrows", ARROWS):
        graph.join(
            _box_number(graph, item.get("source")), _box_number(graph, item.get("target")), _text_field(item, "label")
        )
    framed: set[int] = set()
    for item in _objects(value, "frames", FRAMES):
        members = item.get("members")
        members_of_frame = {
            _box_number(graph, place) for place in cast("list[Any]", members if isinstance(members, list) else [])
        }
        if members_of_frame - framed:
            graph.frames.append(BoxFrame(_text_field(item, "title"), sorted(members_of_frame - framed)))
            framed |= members_of_frame
    return graph


def _box(item: dict[str, Any]) -> Box:
    label, kind, details = _text_field(item, "label"), item.get("kind", "step"), item.get("details") or []
    if not label:
        raise FigureError("a box has no label", FIELD)
    if kind not in get_args(Kind):
        raise FigureError(f"the kind of a box is one of {', '.join(get_args(Kind))}", FIELD)
    if not isinstance(details, list):
        raise FigureError("the details of a box are a list", FIELD)
    texts = [" ".join(detail.split())[:44] for detail in cast("list[Any]", details) if isinstance(detail, str)]
    return Box(label, kind, [detail for detail in texts if detail][:DETAILS])


def _objects(item: dict[str, Any], name: str, most: int) -> list[dict[str, Any]]:
    entries = item.get(name) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in cast("list[Any]", entries)):
        raise FigureError(f"{name} is no list of objects", FIELD)
    objects = cast("list[dict[str, Any]]", entries)
    if len(objects) > most:
        raise FigureError(f"there are more than {most} {name}", FIELD)
    return objects


def _box_number(graph: Graph, number: Any) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(graph.boxes):
        raise FigureError(f"{str(number)[:20]} is no place in boxes", FIELD)
    return number


def _text_field(item: dict[str, Any], name: str) -> str:
    value = item.get(name) or ""
    if not isinstance(value, str):
        raise FigureError(f"a {name} is no text", FIELD)
    return " ".join(value.split())[:80]
