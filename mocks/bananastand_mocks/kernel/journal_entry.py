"""One call as the journal stores it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["JournalEntry"]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One call without its secrets.

    Attributes:
        number: Its place in the journal, from 1.
        at: Seconds since 1970 on the world's clock.
        provider: The provider's name.
        operation: The operationId; None where the address names no operation.
        method: The HTTP method.
        path: The path below the provider's mount.
        query: The query parameters.
        headers: The headers, their names in lower case.
        stored_body: The body's value, or its JSON as bytes.
        status: The status of the response.
        answer: The body of the response.
        faults: The kinds of the faults that struck the call.
        stub: The number of the stub that answered; None where the provider did.
    """

    number: int
    at: float
    provider: str
    operation: str | None
    method: str
    path: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    stored_body: Any
    status: int
    answer: bytes
    faults: tuple[str, ...]
    stub: int | None = None

    @property
    def body(self) -> Any:
        """The body of the request: JSON, text or None."""
        return json.loads(self.stored_body) if isinstance(self.stored_body, bytes) else self.stored_body

    def dump(self) -> dict[str, Any]:
        """Return the entry as JSON, the body of the response as text."""
        return {
            "number": self.number,
            "at": self.at,
            "provider": self.provider,
            "operation": self.operation,
            "method": self.method,
            "path": self.path,
            "query": dict(self.query),
            "headers": dict(self.headers),
            "body": self.body,
            "status": self.status,
            "answer": self.answer.decode("utf-8", "replace"),
            "faults": list(self.faults),
            "stub": self.stub,
        }
