"""Potassium's wire protocol: bytes to its Request, its Response to bytes, and the answers it gives without the app."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Answer",
    "BadRequest",
    "Header",
    "check_request",
    "error",
    "flask_json",
    "read_request",
    "response_head",
    "werkzeug_page",
]

Header = tuple[bytes, bytes]
QUICK = 64 * 2**10  # bytes of a body that is parsed before it waits for a handler


@dataclass(frozen=True)
class Answer:
    """A whole answer of the host's own."""

    status: int
    body: bytes = b""
    headers: list[Header] = field(default_factory=lambda: [(b"content-type", b"text/html; charset=utf-8")])


class BadRequest(Exception):
    """The request is no JSON that a handler could be given; the text says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def error(status: int, code: str, message: str, *headers: Header) -> Answer:
    """{"error": {"code", "message", "field"}}, the shape the app's own errors have."""
    body = json.dumps({"error": {"code": code, "message": message, "field": None}}).encode()
    return Answer(status, body, [(b"content-type", b"application/json"), *headers])


def flask_json(value: Any) -> Answer:
    """JSON as Flask writes it: compact, keys sorted, and a line end."""
    body = json.dumps(value, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    return Answer(200, body, [(b"content-type", b"application/json")])


def werkzeug_page(status: int, *headers: Header) -> Answer:
    """The page that Potassium's own server shows for 404 and 405."""
    from werkzeug.exceptions import default_exceptions

    page = default_exceptions[status]().get_body()
    return Answer(status, page.encode(), [(b"content-type", b"text/html; charset=utf-8"), *headers])


def check_request(headers: Iterable[Header], body: bytes) -> None:
    """Judge a request as Flask does: the content type first, then the JSON, where that is quick. Raises BadRequest."""
    _check_type(",".join(value.decode("latin-1") for name, value in headers if name == b"content-type"))
    if len(body) <= QUICK:
        _parse(body)


def read_request(headers: Iterable[Header], body: bytes) -> Any:
    """A potassium.Request. Raises BadRequest."""
    from potassium import Request

    named = dict[str, str]()
    for key, value in headers:
        name, text = _name(key), value.decode("latin-1")
        named[name] = f"{named[name]},{text}" if name in named else text
    _check_type(named.get("CONTENT_TYPE", ""))
    id = named.get("X_BANANA_REQUEST_ID") or str(uuid.uuid4())
    return Request(headers=_quiet_headers(named), json=_parse(body), id=id)


def _check_type(text: str) -> None:
    kind = text.split(";")[0].strip().lower()
    if not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))):
        raise BadRequest("invalid_content_type", f"Content-Type must be application/json, not {ascii(kind)[:80]}")


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except RecursionError:
        raise BadRequest("invalid_json", "the body is nested too deeply") from None
    except ValueError as problem:
        raise BadRequest("invalid_json", f"the body is not JSON: {problem}") from None


def _name(key: bytes) -> str:
    """A header's name as Potassium keeps it."""
    return key.decode("latin-1").upper().replace("-", "_")


def _quiet_headers(named: dict[str, str]) -> Any:
    """Potassium's own class prints all headers, keys and secrets included, each time one is read."""
    from potassium.types import RequestHeaders

    class Headers(RequestHeaders):
        def __init__(self, headers: dict[str, str]) -> None:
            self._headers = headers

        def __getitem__(self, key: str) -> str:
            return self._headers[self._normalize_key(key)]

    globals()["_quiet_headers"] = Headers  # the class is made once, when potassium is first needed
    return Headers(named)


def response_head(response: Any) -> tuple[int, list[Header], Any]:
    """Status, headers and body (bytes or a generator) of a potassium.Response; text/html where it names no type.

    Raises ValueError where HTTP has no room for it.
    """
    named = {str(key).lower(): str(value) for key, value in response.headers.items()}
    named.setdefault("content-type", "text/html; charset=utf-8")
    if any(mark in text for pair in named.items() for text in pair for mark in "\r\n\0"):
        raise ValueError("a header of the response holds a line end")
    status = int(response.status)
    if not 200 <= status <= 599:
        raise ValueError(f"the response has status {status}; 200 to 599 are possible")
    for name in ("content-length", "x-bananastand-not-run"):  # the host's own
        named.pop(name, None)
    return status, [(key.encode("latin-1"), value.encode("latin-1")) for key, value in named.items()], response.body
