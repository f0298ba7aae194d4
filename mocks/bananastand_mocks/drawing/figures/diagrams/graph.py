"""Boxes and arrows before they have a place: what a text was read as."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Arrow", "Box", "BoxFrame", "Graph", "Kind"]

Kind = Literal["data", "model", "store", "loss", "step"]


@dataclass
class Box:
    """One thing or step; `details` are shown small below its label, `implied` means that the text does not name it."""

    label: str
    kind: Kind
    details: list[str] = field(default_factory=list[str])
    implied: bool = False


@dataclass
class Arrow:
    """From one box to another, both by their place in the graph's list."""

    source: int
    target: int
    label: str = ""


@dataclass
class BoxFrame:
    """A titled frame around boxes that belong together."""

    title: str
    members: list[int]


@dataclass
class Graph:
    """The boxes of a diagram, the arrows between them, and the frames around some."""

    boxes: list[Box] = field(default_factory=list[Box])
    arrows: list[Arrow] = field(default_factory=list[Arrow])
    frames: list[BoxFrame] = field(default_factory=list[BoxFrame])

    def join(self, source: int, target: int, label: str = "") -> None:
        """One arrow between two boxes, whatever was said of them; the first label stays."""
        if source == target:
            return
        for arrow in self.arrows:
            if (arrow.source, arrow.target) == (source, target):
                arrow.label = arrow.label or label
                return
        self.arrows.append(Arrow(source, target, label))

    def neighbours(self, box: int) -> set[int]:
        """Returns the boxes that an arrow joins to this one, in either direction."""
        return {a.target for a in self.arrows if a.source == box} | {a.source for a in self.arrows if a.target == box}
