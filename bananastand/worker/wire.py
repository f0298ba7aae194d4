"""Potassium's wire protocol: the answers it gives without the app, and how JSON and headers are read and written."""

from __future__ import annotations

import json
from typing import Any, Tuple

__all__ = [
    "Answer",
    "BadRequest",
    "Header",
    "check_json_type",
    "error",
    "flask_json",
    "not_allowed",
    "page",
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


class Answer:
    """A whole answer: status, headers with names in lower case, and body (bytes, or a generator of chunks)."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: Any = b"", headers: list[Header] | None = None) -> None:
        self.status, self.body = status, body
        self.headers = [("content-type", HTML)] if headers is None else headers


class BadRequest(Exception):
    """The request is not JSON that a handler can be given; the text says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def error(status: int, code: str, message: str, *headers: Header) -> Answer:
    """{"error": {"code", "message", "field"}}, the shape the app's own errors have."""
    body = json.dumps({"error": {"code": code, "message": message, "field": None}}).encode()
    return Answer(status, body, [("content-type", "application/json"), *headers])


def flask_json(value: Any, *headers: Header) -> Answer:
    """JSON as Flask writes it: compact, keys sorted, and a line end."""
    body = json.dumps(value, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    return Answer(200, body, [("content-type", "application/json"), *headers])


def page(status: int, *headers: Header) -> Answer:
    """The page that Potassium's own server answers with status 404 or 405."""
    return Answer(status, PAGES[status].encode(), [("content-type", HTML), *headers])


def not_allowed(method: str, allowed: str = POST_ONLY) -> Answer:
    """What a method that a route does not take gets; OPTIONS is answered as Flask does."""
    if method == "OPTIONS":
        return Answer(200, b"", [("content-type", HTML), ("allow", allowed)])
    return page(405, ("allow", allowed))


def check_json_type(headers: dict[str, str]) -> None:
    """Raise BadRequest unless the Content-Type is JSON, as Flask judges it. headers: names in lower case."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))):
        raise BadRequest("invalid_content_type", "Content-Type must be application/json, not " + ascii(kind)[:80])


def parse_json(body: bytes) -> Any:
    """The body's JSON. Raises BadRequest."""
    try:
        return json.loads(body)
    except RecursionError:
        raise BadRequest("invalid_json", "the body is nested too deeply") from None
    except ValueError as problem:
        raise BadRequest("invalid_json", f"the body is not JSON: {problem}") from None
