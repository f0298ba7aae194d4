"""Selects the headers that pass between a caller and an app, and reads a request's target."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from bananastand.asgi.credentials import basic_credentials

from ..errors import Refused
from ..replicas.client import Headers

__all__ = ["CALL_ID", "answer_headers", "app_headers", "app_target", "raw_path", "upgrade_problem"]

CALL_ID = "x-banana-call-id"
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer")
    + ("transfer-encoding", "upgrade")
)
NOT_FOR_APPS = HOP_BY_HOP | {"host", "content-length", "expect", "x-banana-api-key"}
NOT_FOR_CALLERS = HOP_BY_HOP | {"content-length", "date", CALL_ID}  # a Date is set when an answer is sent
NOT_ASCII = re.compile(rb"[\x80-\xff]")
IGNORED_UPGRADES = ("h2c", "tls/", "http/")  # of the connection; a server may stay with HTTP/1.1
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def app_headers(headers: Iterable[tuple[bytes, bytes]], is_key: Callable[[str], bool]) -> Headers:
    """Return the caller's headers that the app may see: none of the connection, and none with a key of the platform.

    Args:
        headers: The headers as the caller sent them.
        is_key: Whether a text is a valid API key of the platform.
    """
    named = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    left_out = NOT_FOR_APPS | _named_in_connection(named)
    return tuple(
        (name, value)
        for name, value in named
        if name not in left_out and not (name == "authorization" and any(map(is_key, _possible_keys(value))))
    )


def answer_headers(headers: Headers, call_id: str) -> list[tuple[bytes, bytes]]:
    """Return the app's headers that the caller gets, and the call's id."""
    left_out = NOT_FOR_CALLERS | _named_in_connection(headers)
    passed = [(name, value) for name, value in headers if name not in left_out]
    return [
        (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in (*passed, (CALL_ID, call_id))
    ]


def upgrade_problem(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return why a request's Upgrade cannot be served; None if it has none, or one that may be ignored."""
    named = [(name.decode("latin-1").lower(), value.decode("latin-1").strip()) for name, value in headers]
    protocol = next((value for name, value in named if name == "upgrade"), "")
    if not protocol or protocol.lower().startswith(IGNORED_UPGRADES):
        return None
    if protocol.lower() != "websocket":
        return f"Upgrade: {protocol[:50]} does not pass to apps: send plain HTTP, or open a websocket"
    if "upgrade" not in _named_in_connection(named):
        return (
            "Upgrade: websocket came without Connection: Upgrade: where a proxy is before the platform, "
            "have it pass both headers"
        )
    return "a websocket is opened by GET of HTTP/1.1"


def raw_path(scope: Any) -> bytes:
    """Return a request's path as it was sent, percent-encoded, without its query."""
    return scope.get("raw_path") or quote(scope["path"]).encode()


def app_target(path: bytes, query: bytes) -> str:
    """Return the path with its query for an app, as the caller encoded it; bytes beyond ASCII are encoded.

    Raises Refused for control characters: an app's server would end the request line there, or read another path than
    was checked here.
    """
    if CONTROL.search(unquote_to_bytes(path)) or CONTROL.search(query) or b" " in path + query:
        printable = ascii(path.decode("latin-1"))[1:-1][:100]
        raise Refused(f"the path {printable} has control characters in it: send it without them")
    path = path if path.startswith(b"/") else b"/" + path
    target = path + b"?" + query if query else path
    return NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], target).decode("ascii")


def _named_in_connection(headers: Iterable[tuple[str, str]]) -> set[str]:
    return {token.strip().lower() for name, value in headers if name == "connection" for token in value.split(",")}


def _possible_keys(authorization: str) -> list[str]:
    """Return what may be an API key in an Authorization: its value, its token, and the parts of Basic credentials."""
    value = authorization.strip()
    return [value, value.partition(" ")[2].strip(), *(basic_credentials(value) or ())]
