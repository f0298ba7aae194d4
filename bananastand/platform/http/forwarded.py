"""What a front that stands by says of a request that it forwards to the active one."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass
from typing import Any

from ..scheduling.repeat import Repeat

__all__ = ["HEADER", "Forwarded", "forwarded_of", "with_forwarded"]

HEADER = b"x-bananastand-forwarded"
EXTENSION = "bananastand.forwarded"


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A forwarded request, whose Host and Origin the other front has checked.

    Attributes:
        id: The same for each time that it is sent; None for one that is sent once.
        is_first: Whether it is sent for the first time.
        project: The project whose port it came in at; None for all other ports.
        private: Whether page and metrics require a key where it came in.
        scheme: Of the URL that its caller used.
    """

    id: str | None
    is_first: bool
    project: str | None
    private: bool
    scheme: str

    @property
    def repeat(self) -> Repeat | None:
        """How the request may be sent again, if it may."""
        return None if self.id is None else Repeat(self.id, self.is_first)

    def encode(self) -> bytes:
        """Return the value of HEADER."""
        return b64encode(json.dumps(asdict(self)).encode())

    @classmethod
    def decode(cls, value: bytes) -> Forwarded:
        """Read the value of HEADER. Raises ValueError."""
        try:
            return cls(**json.loads(b64decode(value, validate=True)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{HEADER.decode()} is malformed") from error


def forwarded_of(scope: Any) -> Forwarded | None:
    """Return what is known of a request that another front has forwarded; None for any other."""
    return scope["extensions"].get(EXTENSION) if "extensions" in scope else None


def with_forwarded(scope: Any, forwarded: Forwarded) -> Any:
    """Return the scope of a request that another front has forwarded."""
    headers = [(name, value) for name, value in scope["headers"] if name != HEADER]
    extensions = {**(scope.get("extensions") or {}), EXTENSION: forwarded}
    return {**scope, "scheme": forwarded.scheme, "headers": headers, "extensions": extensions}
