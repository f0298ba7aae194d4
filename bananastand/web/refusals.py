"""What a server answers before any application has the request: a status, a code and a text, in some dialect."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

__all__ = ["Dialect", "Refusal", "plain_json", "response"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused.

    Attributes:
        status: Of HTTP.
        code: In one word.
        message: What happened and what to do next.
        path: Of the request, as far as it is known.
        port: Where the request came in.
        host: Of the request, empty where it is not known.
        retry_after: Seconds after which the same request may pass.
    """

    status: int
    code: str
    message: str
    path: str = ""
    port: int = 0
    host: str = ""
    retry_after: int | None = None


Dialect = Callable[[Refusal], tuple[str, bytes]]  # content type and body


def plain_json(refusal: Refusal) -> tuple[str, bytes]:
    """{"error": {"code", "message"}}, as our own APIs answer."""
    return "application/json", json.dumps({"error": {"code": refusal.code, "message": refusal.message}}).encode()


def response(refusal: Refusal, dialect: Dialect) -> bytes:
    """The whole response, after which the connection is closed."""
    kind, body = dialect(refusal)
    lines = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        f"content-type: {kind}",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    if refusal.retry_after is not None:
        lines.append(f"retry-after: {refusal.retry_after}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
