"""The clock of a mock's world, which a response may tell of; a real provider's response never does.

A virtual clock moves only when it is advanced. Where the world advances it for its clients, a client that is to wait
does not sleep: it asks for the seconds with its next request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["ADVANCE", "ServerClock"]

CLOCK = "x-stand-clock"  # on a response: seconds since 1970, the world's name, and `stopped` or `moves`
ADVANCE = "X-Stand-Advance"  # on a request: seconds to advance the world's clock first


@dataclass(frozen=True)
class ServerClock:
    """A virtual clock as a response shows it.

    Attributes:
        now: Seconds since 1970.
        world: The world's name.
        moves: Whether waiting makes sense: the clock moves when a client asks, or work ends without it.
    """

    now: float
    world: str
    moves: bool

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> ServerClock | None:
        """Return the clock that a response shows, or None."""
        words = headers.get(CLOCK, "").split()
        try:
            return cls(float(words[0]), words[1], words[2] == "moves")
        except (IndexError, ValueError):
            return None

    def advice(self) -> str:
        """Return how to move a clock that stands still."""
        moment = datetime.fromtimestamp(self.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            f"the mock's clock stands still at {moment}: move it with stand.clock.advance(60), "
            f'or POST {{"advance": 60}} to /_stand/worlds/{self.world}/clock, or create the world with auto_advance'
        )
