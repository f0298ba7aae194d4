"""Potassium's HTTP: the responses that its own server makes without the app, and how it judges a request's JSON."""

from __future__ import annotations

import json
from typing import Any, Tuple

__all__ = [
    "BadRequest",
    "Header",
    "WireResponse",
    "check_json_type",
    "error_response",
    "flask_json",
    "html_page",
    "method_not_allowed",
    "parse_json",
]

Header = Tuple[str, str]
HTML = "text/html; charset=utf-8"
PAGES = {  # werkzeug's own pages, which Potassium's server answers with
    404: "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>The requested URL was "
    "not found on the server. If you entered the URL manually please check your spelling and try again.</p>\n",
    405: "<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n<p>The "
    "method is not allowed for the requested URL.</p>\n",
}
POST_ONLY, GET_ONLY = "OPTIONS, POST", "GET, HEAD, OPTIONS"


class WireResponse:
    """A whole response: status, headers with names in lower case, and body (bytes, or a generator of chunks)."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: Any = b"", headers: list[Header] | None = None) -> None:
        self.status, self.body = status, body
        self.headers = [("content-type", HTML)] if headers is None else headers


class BadRequest(Exception):
    """The request has no JSON for a handler; the text says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def error_response(status: int, code: str, message: str, *headers: Header) -> WireResponse:
    """Return {"error": {"code", "message", "field"}}, the shape that the app's own errors have."""
    body = json.dumps({"error": {"code": code, "message": message, "field": None}}).encode()
    return WireResponse(status, body, [("content-type", "application/json"), *headers])


def flask_json(value: Any, *headers: Header) -> WireResponse:
    """Return JSON as Flask writes it: compact, with sorted keys and a line end."""
    body = json.dumps(value, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    return WireResponse(200, body, [("content-type", "application/json"), *headers])


def html_page(status: int, *headers: Header) -> WireResponse:
    """Return the page of Potassium's own server for status 404 or 405."""
    return WireResponse(status, PAGES[status].encode(), [("content-type", HTML), *headers])


def method_not_allowed(method: str, allowed: str = POST_ONLY) -> WireResponse:
    """Return the response to a method that a route does not have; OPTIONS is answered as Flask does."""
    if method == "OPTIONS":
        return WireResponse(200, b"", [("content-type", HTML), ("allow", allowed)])
    return html_page(405, ("allow", allowed))


def check_json_type(headers: dict[str, str]) -> None:
    """Check that the Content-Type is JSON, as Flask judges it.

    Args:
        headers: Names in lower case.

    Raises:
        BadRequest: It is not.
    """
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))):
        raise BadRequest("invalid_content_type", "Content-Type must be application/json, not " + ascii(kind)[:80])


def parse_json(body: bytes) -> Any:
    """Parse a body as JSON. Raises BadRequest."""
    try:
        return json.loads(body)
    except RecursionError:
        raise BadRequest("invalid_json", "the body is nested too deeply") from None
    except ValueError as problem:
        raise BadRequest("invalid_json", f"the body is not JSON: {problem}") from None
