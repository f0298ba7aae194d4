"""What a drawing gives, and how it is refused."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Figure", "FigureError"]


@dataclass(frozen=True)
class Figure:
    """A finished figure: the bytes of each format (png, svg, pdf), what is on it, and its size in pixels."""

    files: dict[str, bytes]
    description: str
    width: int
    height: int


class FigureError(Exception):
    """A well-formed input that cannot be drawn or read; `field` is the request's field that holds it."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
