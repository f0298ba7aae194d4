"""A graph that is told as JSON, by somebody who read the text in our place. Knows no text and no layout."""

from __future__ import annotations

from typing import Any, cast, get_args

from ..figure import FigureError
from .graph import Box, BoxFrame, Graph, Kind

__all__ = ["MOST", "read_graph"]

MOST = 30  # boxes
ARROWS, DETAILS, FRAMES = 60, 4, 4
FIELD = "graph"


def read_graph(value: dict[str, Any]) -> Graph:
    """The boxes, arrows and frames of a JSON object; an arrow from a box to itself is left out.

    Raises FigureError: no box, too many of anything, a label or a place that is none.
    """
    graph = Graph([_box(each) for each in _list(value, "boxes", MOST)])
    if not graph.boxes:
        raise FigureError("there are no boxes", FIELD)
    for each in _list(value, "arrows", ARROWS):
        graph.join(_place(graph, each.get("source")), _place(graph, each.get("target")), _text(each, "label"))
    taken: set[int] = set()
    for each in _list(value, "frames", FRAMES):
        members = each.get("members")
        held = {_place(graph, place) for place in cast("list[Any]", members if isinstance(members, list) else [])}
        if held - taken:
            graph.frames.append(BoxFrame(_text(each, "title"), sorted(held - taken)))
            taken |= held
    return graph


def _box(told: dict[str, Any]) -> Box:
    label, kind, details = _text(told, "label"), told.get("kind", "step"), told.get("details") or []
    if not label:
        raise FigureError("a box has no label", FIELD)
    if kind not in get_args(Kind):
        raise FigureError(f"the kind of a box is one of {', '.join(get_args(Kind))}", FIELD)
    if not isinstance(details, list):
        raise FigureError("the details of a box are a list", FIELD)
    shown = [" ".join(each.split())[:44] for each in cast("list[Any]", details) if isinstance(each, str)]
    return Box(label, kind, [each for each in shown if each][:DETAILS])


def _list(told: dict[str, Any], name: str, most: int) -> list[dict[str, Any]]:
    found = told.get(name) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in cast("list[Any]", found)):
        raise FigureError(f"{name} is no list of objects", FIELD)
    listed = cast("list[dict[str, Any]]", found)
    if len(listed) > most:
        raise FigureError(f"there are more than {most} {name}", FIELD)
    return listed


def _place(graph: Graph, told: Any) -> int:
    if not isinstance(told, int) or isinstance(told, bool) or not 0 <= told < len(graph.boxes):
        raise FigureError(f"{str(told)[:20]} is no place in boxes", FIELD)
    return told


def _text(told: dict[str, Any], name: str) -> str:
    value = told.get(name) or ""
    if not isinstance(value, str):
        raise FigureError(f"a {name} is no text", FIELD)
    return " ".join(value.split())[:80]
