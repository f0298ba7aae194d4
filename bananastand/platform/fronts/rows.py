"""A front as the status page and the API show it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FrontRow"]


@dataclass(frozen=True, slots=True)
class FrontRow:
    """A front as the others see it.

    Attributes:
        started: Seconds since 1970.
        silent: Seconds since its last sign of life.
    """

    name: str
    url: str
    version: str
    active: bool
    started: float
    silent: float
