"""The response to a call, as operations return it: before it is encoded."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from .json_body import dump

__all__ = ["JSON", "ApiResponse", "encode"]

JSON = "application/json"


@dataclass(slots=True)
class ApiResponse:
    """What goes back. `body` is JSON, or bytes where `content_type` is not JSON; None means no body at all.

    Header names are lower-case. `pieces` is a body that is sent as it comes; it raises where it breaks off.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    content_type: str = JSON
    pieces: AsyncGenerator[bytes] | None = None


def encode(response: ApiResponse) -> bytes:
    """Encode the body: JSON is written compactly, bytes stay as they are."""
    if response.body is None:
        return b""
    return response.body if isinstance(response.body, bytes) else dump(response.body)
