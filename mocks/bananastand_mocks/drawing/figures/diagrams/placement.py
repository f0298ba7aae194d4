"""Gives layered boxes their places.

Everything is measured along the flow and across it; who draws decides which of the two is horizontal. Long flows are
folded into bands, like the lines of a text that is read to and fro, so that the arrow at the end of a band is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .layering import Layering

__all__ = ["ARROW", "LANE", "TRACK", "Places", "Shape", "place"]

ARROW, TRACK, LANE = 14.0, 9.0, 14.0  # room for an arrow's head, between two parallel arrows, for one that leads back
APART, BESIDE = 20.0, 13.0  # between two boxes, and between a box and an arrow passing by


@dataclass(frozen=True)
class Shape:
    """What a layout is asked for: sizes of the boxes along and across, bands, and room beside what is needed."""

    along: Sequence[float]
    across: Sequence[float]
    bands: int
    labels: Sequence[float]  # room along that the labels need, by gap
    tracks: Sequence[int]  # arrows that change their height, by gap
    rounds: int  # of straightening
    lanes: Sequence[int]  # ways back that begin in a layer
    air: tuple[float, float] = (0.0, 0.0)  # more room in each gap, along and across


@dataclass
class Places:
    """Where each slot is, and the size of the whole; `sign` is -1 for layers in bands that are read backwards."""

    along: dict[int, float]
    across: dict[int, float]
    sign: list[int]
    band: list[int]
    thick: float
    ends: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])  # of each band, across
    size: tuple[float, float] = (0.0, 0.0)


def place(layers: Layering, shape: Shape) -> Places:
    """Centres of all slots, from (0, 0) on."""
    count = len(layers.layers)
    columns = -(-count // shape.bands)
    band = [i // columns for i in range(count)]
    sign = [1 if band_number % 2 == 0 else -1 for band_number in band]
    thick = max(shape.along[box] for box in range(layers.boxes))
    middle = _columns(columns, band, sign, thick, shape)
    across = _across(layers, band, shape)
    places = Places({}, {}, sign, band, thick)
    top = bottom = 0.0
    for band_number in range(band[-1] + 1):
        rows = [i for i in range(count) if band[i] == band_number]
        slots = [slot for i in rows for slot in layers.layers[i]]
        low = min(across[slot] - _half_size(slot, layers, shape) for slot in slots)
        high = max(across[slot] + _half_size(slot, layers, shape) for slot in slots)
        for i in rows:
            column = i % columns if sign[i] > 0 else columns - 1 - i % columns
            for slot in layers.layers[i]:
                places.along[slot] = middle[column]
                places.across[slot] = across[slot] - low + top
        places.ends.append((top, top + high - low))
        below = LANE * sum(shape.lanes[i] for i in rows)
        bottom = top + high - low + below
        top = bottom + APART + 8 + shape.air[1]
    places.size = (middle[-1] + thick / 2, bottom)
    return places


def _gap(shape: Shape, at: int) -> float:
    """The room between layer `at` and the next."""
    return ARROW + TRACK * shape.tracks[at] + max(10.0, shape.labels[at]) + shape.air[0]


def _columns(columns: int, band: list[int], sign: list[int], thick: float, shape: Shape) -> list[float]:
    """The middle of each column; bands share their columns."""
    gaps = [ARROW + 10.0] * (columns - 1)
    for at in range(len(band) - 1):
        if band[at] == band[at + 1]:
            column = at % columns if sign[at] > 0 else columns - 2 - at % columns
            gaps[column] = max(gaps[column], _gap(shape, at))
    middle = [thick / 2]
    for gap in gaps:
        middle.append(middle[-1] + thick + gap)
    return middle


def _across(layers: Layering, band: list[int], shape: Shape) -> dict[int, float]:
    """Each slot as near to its neighbours' height as those beside it allow."""
    near: list[dict[int, list[int]]] = [{}, {}]
    for at, links in enumerate(layers.links):
        for link in links:
            if band[at] == band[at + 1]:
                near[0].setdefault(link.target, []).append(link.source)
                near[1].setdefault(link.source, []).append(link.target)
    positions: dict[int, float] = {}
    for layer in layers.layers:
        steps = _steps(layer, layers, shape)
        start = -sum(steps) / 2
        for slot, step in zip(layer, [0.0, *steps], strict=True):
            start += step
            positions[slot] = start
    for turn in range(shape.rounds):
        order = layers.layers if turn % 2 == 0 else layers.layers[::-1]
        for layer in order:
            targets = [_target(slot, near[turn % 2], positions) for slot in layer]
            weights = [4.0 if slot >= layers.boxes else 1.0 for slot in layer]
            for slot, at in zip(layer, _spread_apart(targets, weights, _steps(layer, layers, shape)), strict=True):
                positions[slot] = at
    return positions


def _target(slot: int, way: dict[int, list[int]], positions: dict[int, float]) -> float:
    near = [positions[other] for other in way.get(slot, ())]
    return sum(near) / len(near) if near else positions[slot]


def _steps(layer: list[int], layers: Layering, shape: Shape) -> list[float]:
    """The least distance of each two neighbours' centres."""
    return [
        _half_size(a, layers, shape)
        + _half_size(b, layers, shape)
        + shape.air[1] / 2
        + (APART if max(a, b) < layers.boxes else BESIDE)
        for a, b in zip(layer, layer[1:], strict=False)
    ]


def _half_size(slot: int, layers: Layering, shape: Shape) -> float:
    return shape.across[slot] / 2 if slot < layers.boxes else 0.0


def _spread_apart(targets: list[float], weights: list[float], steps: list[float]) -> list[float]:
    """The places nearest to those wanted that keep the order and the distances (pool adjacent violators)."""
    shift, pools = 0.0, list[tuple[float, float, int]]()  # mean, weight, members
    shifts: list[float] = []
    for i, (at, weight) in enumerate(zip(targets, weights, strict=True)):
        shift += steps[i - 1] if i else 0.0
        shifts.append(shift)
        pools.append((at - shift, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, first, n), (b, second, m) = pools[-2:]
            pools[-2:] = [((a * first + b * second) / (first + second), first + second, n + m)]
    means = [mean for mean, _, members in pools for _ in range(members)]
    return [mean + shift for mean, shift in zip(means, shifts, strict=True)]
