"""The headers of a provider's responses: length, content type and CORS."""

from __future__ import annotations

from bananastand.contracts.response import JSON, ApiResponse

from .delivery import Headers
from .http_request import HttpRequest
from .provider import Provider

__all__ = ["RETRY_AFTER", "preflight_headers", "response_headers"]

RETRY_AFTER = "retry-after"
ANY_ORIGIN = (b"access-control-allow-origin", b"*")


def response_headers(provider: Provider, request: HttpRequest, response: ApiResponse, content: bytes) -> Headers:
    """The headers of a response whose encoded body is `content`."""
    headers: Headers = [ANY_ORIGIN] if provider.cors == "*" else []
    if response.pieces is None and not (response.body is None and response.status == 204):
        headers.append((b"content-length", str(len(content)).encode()))
    if response.body is not None:
        media_type = provider.json_type if response.content_type == JSON else response.content_type
        headers.append((b"content-type", media_type.encode("latin-1")))
    for name, value in response.headers.items():
        headers.append((name.encode("latin-1"), value.encode("latin-1")))
    if provider.cors == "reflect" and "origin" in request.headers:
        headers += _reflected(request.headers["origin"])
    return headers


def preflight_headers(provider: Provider, request: HttpRequest) -> Headers:
    """The headers that allow a browser the request it asks for."""
    headers: Headers = [ANY_ORIGIN] if provider.cors == "*" else _reflected(request.headers.get("origin", "*"))
    headers.append((b"access-control-allow-methods", b"GET,HEAD,PUT,PATCH,POST,DELETE"))
    if names := request.headers.get("access-control-request-headers"):
        headers.append((b"access-control-allow-headers", names.encode("latin-1")))
    return headers


def _reflected(origin: str) -> Headers:
    """CORS headers that name the caller's own origin, so that it may send credentials."""
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]
