"""Responses to requests that a server refuses before its application sees them: status, code and text, in a dialect."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from .responses import error_body

__all__ = ["Dialect", "Refusal", "plain_json", "response"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused.

    Attributes:
        status: The HTTP status.
        code: The error's code, one word.
        message: What happened, and what to do next.
        path: The request's path, as far as it is known.
        port: The port where the request came in.
        host: The request's Host, empty where it is not known.
        retry_after: Seconds after which the same request may succeed.
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
    """Return content type and body of a refusal as our own APIs write errors; see `error_body`."""
    return "application/json", json.dumps(error_body(refusal.code, refusal.message)).encode()


def response(refusal: Refusal, dialect: Dialect) -> bytes:
    """Return the bytes of the response, after which the server closes the connection."""
    content_type, body = dialect(refusal)
    lines = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        f"content-type: {content_type}",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    if refusal.retry_after is not None:
        lines.append(f"retry-after: {refusal.retry_after}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
