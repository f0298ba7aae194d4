"""Keeps a graph small enough to read."""

from __future__ import annotations

from .graph import Arrow, Graph

__all__ = ["MOST", "pruned"]

MOST = 16  # boxes in a figure
READ, ARROWS = 200, 48  # arrows, before boxes go and after


def pruned(graph: Graph) -> Graph:
    """At most MOST boxes: results that only pass between two others become the label of their arrow, then leaves go.

    Of the arrows the first stay: more are a hatching, and take long to lay out.
    """
    graph = Graph(graph.boxes, graph.arrows[:READ], graph.frames)
    while len(graph.boxes) > MOST:
        place = _between(graph)
        graph = _without(graph, place if place is not None else _least(graph))
    return Graph(graph.boxes, graph.arrows[:ARROWS], graph.frames)


def _between(graph: Graph) -> int | None:
    """A thing with one arrow in and one out."""
    for place, box in enumerate(graph.boxes):
        into = [a for a in graph.arrows if a.target == place]
        out = [a for a in graph.arrows if a.source == place]
        if box.kind == "data" and len(into) == len(out) == 1 and not box.details and into[0].source != out[0].target:
            return place
    return None


def _least(graph: Graph) -> int:
    """The box with the fewest arrows, of equals the one named last."""
    return min(range(1, len(graph.boxes)), key=lambda place: (len(graph.neighbours(place)), -place))


def _without(graph: Graph, place: int) -> Graph:
    """The graph without one box; what led to it leads on to what came after."""
    into = [a.source for a in graph.arrows if a.target == place]
    out = [a.target for a in graph.arrows if a.source == place]
    remaining = Graph(graph.boxes, [a for a in graph.arrows if place not in (a.source, a.target)])
    box = graph.boxes[place]
    for source in into:
        for target in out:
            remaining.join(source, target, box.label if box.kind == "data" and len(box.label) <= 22 else "")
    moved = [Arrow(a.source - (a.source > place), a.target - (a.target > place), a.label) for a in remaining.arrows]
    return Graph([other for i, other in enumerate(graph.boxes) if i != place], moved)
