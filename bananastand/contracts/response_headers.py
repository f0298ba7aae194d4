"""The headers of a response: length, content type, CORS, and when to retry."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import Problem
from .response import JSON, ApiResponse

__all__ = ["RETRY_AFTER", "Headers", "add_refusal_headers", "preflight_headers", "response_headers"]

Headers = list[tuple[bytes, bytes]]

RETRY_AFTER = "retry-after"
ANY_ORIGIN = (b"access-control-allow-origin", b"*")


def response_headers(
    response: ApiResponse, content: bytes, request: Mapping[str, str], *, json_type: str = JSON, cors: str = "*"
) -> Headers:
    """List the headers of a response.

    Args:
        response: The response.
        content: Its encoded body.
        request: The request's headers, their names in lower case.
        json_type: The content type of JSON bodies.
        cors: The allowed origins: "*", or "reflect" to name the caller's own and allow credentials.
    """
    headers: Headers = [ANY_ORIGIN] if cors == "*" else []
    if response.pieces is None and not (response.body is None and response.status == 204):
        headers.append((b"content-length", str(len(content)).encode()))
    if response.body is not None:
        media_type = json_type if response.content_type == JSON else response.content_type
        headers.append((b"content-type", media_type.encode("latin-1")))
    for name, value in response.headers.items():
        headers.append((name.encode("latin-1"), value.encode("latin-1")))
    if cors == "reflect" and "origin" in request:
        headers += _reflected(request["origin"])
    return headers


def preflight_headers(request: Mapping[str, str], *, cors: str = "*") -> Headers:
    """List the headers that allow a browser the request it asks for."""
    headers: Headers = [ANY_ORIGIN] if cors == "*" else _reflected(request.get("origin", "*"))
    headers.append((b"access-control-allow-methods", b"GET,HEAD,PUT,PATCH,POST,DELETE"))
    if names := request.get("access-control-request-headers"):
        headers.append((b"access-control-allow-headers", names.encode("latin-1")))
    return headers


def add_refusal_headers(response: ApiResponse, problem: Problem) -> None:
    """Add when to retry, and to a 405 the allowed methods."""
    if (seconds := problem.details.get("retry_after")) is not None:
        response.headers = {**response.headers, RETRY_AFTER: str(seconds)}
    if response.status == 405 and (allowed := problem.details.get("allowed")):
        response.headers = {**response.headers, "allow": ", ".join(allowed)}


def _reflected(origin: str) -> Headers:
    """CORS headers that name the caller's own origin, so that it may send credentials."""
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]
