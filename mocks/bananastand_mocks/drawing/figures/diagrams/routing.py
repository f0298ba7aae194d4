"""Leads each arrow from box to box through the room that is kept free for it.

Between two layers an arrow runs along, changes its height on a track of its own and runs along again, so it never meets
a box. An arrow that leads back leaves its layer's last box below, or by the gap, and runs in a lane beside the band.
"""

from __future__ import annotations

from itertools import permutations

from .graph import Graph
from .layering import Layering, Link
from .placement import ARROW, LANE, TRACK, Places, Shape

__all__ = ["Point", "route", "tracks"]

Point = tuple[float, float]
LEAST = 0.6  # a smaller change of height is none


def tracks(layers: Layering) -> list[int]:
    """How many tracks each gap may need: one for each slot that an arrow leaves at a height not its target's."""
    return [
        0
        if len(links) == 1 and len(layers.layers[i]) == len(layers.layers[i + 1]) == 1
        else len({k.source for k in links})
        for i, links in enumerate(layers.links)
    ]


def route(graph: Graph, layers: Layering, places: Places, shape: Shape, *, careful: bool) -> list[list[Point]]:
    """The corners of every arrow, along and across; careful, the tracks are chosen for the fewest crossings."""
    ports = _ports(layers, places, shape)
    pieces: dict[int, list[list[Point]]] = {}
    for at, links in enumerate(layers.links):
        turn = places.band[at] != places.band[at + 1]
        order = _tracks(links, ports, turn=turn, careful=careful)
        for link in links:
            pieces.setdefault(link.arrow, []).append(_piece(link, at, order, ports, places, shape, turn=turn))
    lanes = _lanes(graph, layers, places, shape)
    return [
        lanes[i] if i in lanes else _without_straight_points([point for piece in pieces[i] for point in piece])
        for i in range(len(graph.arrows))
    ]


def _ports(layers: Layering, places: Places, shape: Shape) -> dict[tuple[Link, bool], float]:
    """The height at which each link leaves its source and (True) reaches its target; one that can be straight is."""
    found: dict[tuple[Link, bool], float] = {}
    for at, links in enumerate(layers.links):
        turn = places.band[at] != places.band[at + 1]
        for link in links:
            found[link, False] = places.across[link.source]
        for target in {link.target for link in links}:
            into = sorted(
                (k for k in links if k.target == target), key=lambda k: places.across[k.source] * (-1 if turn else 1)
            )
            room = shape.across[target] - 12 if target < layers.boxes else 0.0
            step = min(12.0, room / max(1, len(into) - 1))
            for i, link in enumerate(into):
                found[link, True] = places.across[target] + (i - (len(into) - 1) / 2) * step
        if turn:
            continue
        for link in links:
            alone = (sum(k.source == link.source for k in links) == 1, sum(k.target == link.target for k in links) == 1)
            for end, single, slot in ((True, alone[1], link.target), (False, alone[0], link.source)):
                other = found[link, not end]
                room = shape.across[slot] / 2 - 7 if slot < layers.boxes else 0.0
                if (
                    single
                    and abs(found[link, True] - found[link, False]) > 0
                    and abs(other - places.across[slot]) <= room
                ):
                    found[link, end] = other
    return found


def _tracks(links: list[Link], ports: dict[tuple[Link, bool], float], *, turn: bool, careful: bool) -> dict[int, int]:
    """The place of each source's track, counted from the source's side."""
    leave = {k.source: ports[k, False] for k in links}
    reach = {s: [ports[k, True] for k in links if k.source == s] for s in leave}
    bent = [s for s in leave if turn or any(abs(at - leave[s]) > LEAST for at in reach[s])]
    if not careful or len(bent) > 6:
        return {source: i for i, source in enumerate(bent)}

    def cost(order: tuple[int, ...]) -> float:
        total = 0.0
        for i, a in enumerate(order):
            for b in order[i + 1 :]:
                spans = {s: (min(leave[s], *reach[s]), max(leave[s], *reach[s])) for s in (a, b)}
                over_a = [leave[b], *(reach[b] if turn else ())]  # what passes the track that is nearer
                over_b = [] if turn else reach[a]
                for track, passing in ((a, over_a), (b, over_b)):
                    total += sum(spans[track][0] < at < spans[track][1] for at in passing)
                    total += sum(5 * (abs(at - end) < 4) for at in passing for end in spans[track])
                total += sum(20 * (abs(at - leave[b]) < 4) for at in reach[a]) if not turn else 0
        return total

    best = min(permutations(bent), key=cost)
    return {source: i for i, source in enumerate(best)}


def _piece(
    link: Link,
    at: int,
    order: dict[int, int],
    ports: dict[tuple[Link, bool], float],
    places: Places,
    shape: Shape,
    *,
    turn: bool,
) -> list[Point]:
    sign = places.sign[at]
    leave, reach = ports[link, False], ports[link, True]
    start = places.along[link.source] + sign * _half(link.source, places, shape)
    end = places.along[link.target] + (sign if turn else -sign) * _half(link.target, places, shape)
    if not turn and abs(leave - reach) <= LEAST:
        return [(start, leave), (end, leave)]
    edge = places.along[link.source] + sign * places.thick / 2
    track = edge + sign * (8.0 + TRACK * order[link.source]) + (sign * ARROW * 0.5 if turn else 0.0)
    return [(start, leave), (track, leave), (track, reach), (end, reach)]


def _half(slot: int, places: Places, shape: Shape) -> float:
    """Half a box's length; what passes through a layer passes all of it."""
    return shape.along[slot] / 2 if slot < len(shape.along) else places.thick / 2


def _lanes(graph: Graph, layers: Layering, places: Places, shape: Shape) -> dict[int, list[Point]]:
    """The ways back; those of one source share a lane."""
    layer_of = {slot: i for i, layer in enumerate(layers.layers) for slot in layer}
    found: dict[int, list[Point]] = {}
    used: dict[int, list[int]] = {}
    entered: dict[int, int] = {}
    for i in layers.back:
        source, target = graph.arrows[i].source, graph.arrows[i].target
        band = places.band[layer_of[source]]
        lanes = used.setdefault(band, [])
        if source not in lanes:
            lanes.append(source)
        lane = places.ends[band][1] + LANE * (lanes.index(source) + 0.9)
        entered[target] = entered.get(target, 0) + 1
        start = _down(source, layer_of[source], layers, places, shape, lane, 0, out=True)
        end = _down(target, layer_of[target], layers, places, shape, lane, entered[target] - 1, out=False)
        found[i] = _without_straight_points([*start, *end[::-1]])
    return found


def _down(
    box: int, at: int, layers: Layering, places: Places, shape: Shape, lane: float, place: int, *, out: bool
) -> list[Point]:
    """From a box to the lane: straight below where it is the last, else by the gap beside it."""
    boxes = [slot for slot in layers.layers[at] if slot < layers.boxes]
    along, across = places.along[box], places.across[box]
    if box == boxes[-1]:
        x = along + (-1) ** place * 10.0 * ((place + 1) // 2) + (6.0 if out else -6.0)
        return [(x, across + shape.across[box] / 2), (x, lane)]
    side = places.sign[at] * (1 if out else -1)
    edge, height = along + side * places.thick / 2, across + shape.across[box] / 4
    track = edge + side * (4.0 if out else ARROW - 1)
    return [(along + side * shape.along[box] / 2, height), (track, height), (track, lane)]


def _without_straight_points(points: list[Point]) -> list[Point]:
    """Without points that are no corners."""
    corners: list[Point] = []
    for point in points:
        if corners and abs(corners[-1][0] - point[0]) < 0.01 and abs(corners[-1][1] - point[1]) < 0.01:
            continue
        while len(corners) > 1 and any(
            abs(corners[-2][k] - corners[-1][k]) < 0.01 and abs(corners[-1][k] - point[k]) < 0.01 for k in (0, 1)
        ):
            corners.pop()
        corners.append(point)
    return corners
