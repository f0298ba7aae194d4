"""Ids drawn from a world's seed."""

from __future__ import annotations

import uuid
from random import Random

__all__ = ["Ids"]

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


class Ids:
    """A source of ids: the same seed and the same calls give the same ids."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def uuid(self) -> str:
        """Return a version 4 UUID."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def hex(self, digits: int) -> str:
        """Return that many lower-case hexadecimal digits."""
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    def letters(self, count: int) -> str:
        """Return that many of a-z and 0-9."""
        return "".join(self._random.choices(LETTERS, k=count))
