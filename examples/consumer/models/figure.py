"""What the desk works with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A picture with what it shows."""

    caption: str
    png: bytes
