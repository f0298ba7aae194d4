"""Puts a graph's boxes into layers and the layers into an order with few crossings.

An arrow that passes over layers has a slot in each of them, so that its way is kept free. Arrows that lead back are
left out here: they run outside.
"""

from __future__ import annotations

from dataclasses import dataclass

from .graph import Arrow, Graph

__all__ = ["Layering", "Link", "layered"]


@dataclass(frozen=True)
class Link:
    """A piece of an arrow between slots of two neighbouring layers."""

    arrow: int
    source: int
    target: int


@dataclass
class Layering:
    """Slots by layer, in order; a slot below the number of boxes is that box, one above is an arrow passing through."""

    layers: list[list[int]]
    links: list[list[Link]]  # between layer i and i + 1
    back: list[int]  # arrows that lead to an earlier layer
    boxes: int

    def crossings(self) -> int:
        """Counts the crossings of arrows between neighbouring layers."""
        return sum(
            _crossings(above, below, links)
            for above, below, links in zip(self.layers, self.layers[1:], self.links, strict=False)
        )


def layered(graph: Graph, sweeps: int) -> Layering:
    """Assigns layers by the longest path from a start and orders them for few crossings.

    Args:
        graph: The boxes and arrows.
        sweeps: How often layers are sorted by their neighbours; the best order is used.
    """
    back = _back(graph)
    forward = [place for place in range(len(graph.arrows)) if place not in back]
    ranks = _ranks(graph, [graph.arrows[place] for place in forward])
    layers: list[list[int]] = [[] for _ in range(max(ranks, default=0) + 1)]
    for box, rank in enumerate(ranks):
        layers[rank].append(box)
    links: list[list[Link]] = [[] for _ in layers[1:]]
    slot = len(graph.boxes)
    for place in forward:
        arrow = graph.arrows[place]
        before = arrow.source
        for rank in range(ranks[arrow.source] + 1, ranks[arrow.target]):
            layers[rank].append(slot)
            links[rank - 1].append(Link(place, before, slot))
            before, slot = slot, slot + 1
        links[ranks[arrow.target] - 1].append(Link(place, before, arrow.target))
    found = Layering(layers, links, sorted(back), len(graph.boxes))
    _order(found, sweeps)
    return found


def _back(graph: Graph) -> set[int]:
    """The arrows that close a circle, when one starts where nothing leads to."""
    out: list[list[int]] = [[] for _ in graph.boxes]
    for place, arrow in enumerate(graph.arrows):
        out[arrow.source].append(place)
    reached = {arrow.target for arrow in graph.arrows}
    starts = sorted(range(len(graph.boxes)), key=lambda box: (box in reached, box))
    state: dict[int, int] = {}
    back: set[int] = set()
    for start in starts:
        stack = [(start, 0)] if start not in state else []
        while stack:
            box, done = stack.pop()
            state[box] = 1
            if done == len(out[box]):
                state[box] = 2
                continue
            stack.append((box, done + 1))
            arrow = graph.arrows[out[box][done]]
            if state.get(arrow.target) == 1:
                back.add(out[box][done])
            elif arrow.target not in state:
                stack.append((arrow.target, 0))
    return back


def _ranks(graph: Graph, forward: list[Arrow]) -> list[int]:
    ranks = [0] * len(graph.boxes)
    for _ in graph.boxes:
        for arrow in forward:
            ranks[arrow.target] = max(ranks[arrow.target], ranks[arrow.source] + 1)
    targets = {arrow.target for arrow in forward}
    for box in range(len(graph.boxes)):  # what begins late stands beside what it is for
        after = [ranks[arrow.target] for arrow in forward if arrow.source == box]
        if box not in targets and after:
            ranks[box] = min(after) - 1
    return ranks


def _order(found: Layering, sweeps: int) -> None:
    best, fewest = [list(layer) for layer in found.layers], found.crossings()
    for sweep in range(sweeps):
        if not fewest:
            break
        places = range(1, len(found.layers)) if sweep % 2 == 0 else range(len(found.layers) - 2, -1, -1)
        for place in places:
            fixed = found.layers[place - 1 if sweep % 2 == 0 else place + 1]
            links = found.links[place - 1 if sweep % 2 == 0 else place]
            _sort(found.layers[place], fixed, links, down=sweep % 2 == 0)
        _swap(found)
        if (count := found.crossings()) < fewest:
            best, fewest = [list(layer) for layer in found.layers], count
    found.layers = best


def _sort(layer: list[int], fixed: list[int], links: list[Link], *, down: bool) -> None:
    at = {slot: place for place, slot in enumerate(fixed)}
    near: dict[int, list[int]] = {slot: [] for slot in layer}
    for link in links:
        slot, other = (link.target, link.source) if down else (link.source, link.target)
        near[slot].append(at[other])
    means = {slot: sum(of) / len(of) if of else layer.index(slot) for slot, of in near.items()}
    layer.sort(key=lambda slot: means[slot])


def _swap(found: Layering) -> None:
    """Exchange neighbours wherever that saves a crossing; only the arrows of the two can cross otherwise then."""
    for at, layer in enumerate(found.layers):
        sides = [(found.layers[side], found.links[min(at, side)]) for side in (at - 1, at + 1)
                 if 0 <= side < len(found.layers)]  # fmt: skip
        ends = [(_ends(layer, links), {slot: place for place, slot in enumerate(fixed)}) for fixed, links in sides]
        for place in range(len(layer) - 1):
            first, second = layer[place], layer[place + 1]
            saved = sum(
                (spot[a] > spot[b]) - (spot[a] < spot[b])
                for of, spot in ends
                for a in of.get(first, ())
                for b in of.get(second, ())
            )
            if saved > 0:
                layer[place], layer[place + 1] = second, first


def _ends(layer: list[int], links: list[Link]) -> dict[int, list[int]]:
    """The other ends of each slot's links to one neighbouring layer."""
    own, ends = set(layer), dict[int, list[int]]()
    for link in links:
        slot, other = (link.source, link.target) if link.source in own else (link.target, link.source)
        ends.setdefault(slot, []).append(other)
    return ends


def _crossings(above: list[int], below: list[int], links: list[Link]) -> int:
    first = {slot: place for place, slot in enumerate(above)}
    second = {slot: place for place, slot in enumerate(below)}
    pairs = [(first[link.source], second[link.target]) for link in links]
    return sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(pairs) for b in pairs[:i])
