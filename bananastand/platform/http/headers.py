"""Which headers pass between a caller and an app, and how a request's target is read. Sends nothing."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, unquote_to_bytes

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
    """The caller's headers that the app may see: none of the connection's, and none with a key of the platform.

    Args:
        headers: As the caller sent them.
        is_key: Whether a text is a valid key of the platform.
    """
    named = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    left_out = NOT_FOR_APPS | _named_in_connection(named)
    return tuple(
        (name, value)
        for name, value in named
        if name not in left_out and not (name == "authorization" and any(map(is_key, _secrets(value))))
    )


def answer_headers(headers: Headers, call_id: str) -> list[tuple[bytes, bytes]]:
    """The app's headers that the caller gets, and the call's id."""
    left_out = NOT_FOR_CALLERS | _named_in_connection(headers)
    kept = [(name, value) for name, value in headers if name not in left_out]
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in (*kept, (CALL_ID, call_id))]


def upgrade_problem(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Why a request's Upgrade header cannot be obeyed; None if there is none, or it may be ignored."""
    named = [(name.decode("latin-1").lower(), value.decode("latin-1").strip()) for name, value in headers]
    wanted = next((value for name, value in named if name == "upgrade"), "")
    if not wanted or wanted.lower().startswith(IGNORED_UPGRADES):
        return None
    if wanted.lower() != "websocket":
        return f"Upgrade: {wanted[:50]} does not pass to apps: send plain HTTP, or open a websocket"
    if "upgrade" not in _named_in_connection(named):
        return (
            "Upgrade: websocket came without Connection: Upgrade: where a proxy is before the platform, "
            "have it pass both headers"
        )
    return "a websocket is opened by GET of HTTP/1.1"


def raw_path(scope: Any) -> bytes:
    """A request's path as it was sent, percent-encoded, without its query."""
    return scope.get("raw_path") or quote(scope["path"]).encode()


def app_target(path: bytes, query: bytes) -> str:
    """The path with its query for an app, as the caller encoded it; bytes beyond ASCII are encoded.

    Raises Refused for control characters.
    An app's server would end the request line there, or read another path than was checked here.
    """
    if CONTROL.search(unquote_to_bytes(path)) or CONTROL.search(query) or b" " in path + query:
        shown = ascii(path.decode("latin-1"))[1:-1][:100]
        raise Refused(f"the path {shown} has control characters in it: send it without them")
    path = path if path.startswith(b"/") else b"/" + path
    target = path + b"?" + query if query else path
    return NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], target).decode("ascii")


def _named_in_connection(headers: Iterable[tuple[str, str]]) -> set[str]:
    return {each.strip().lower() for name, value in headers if name == "connection" for each in value.split(",")}


def _secrets(authorization: str) -> list[str]:
    """What in an Authorization may be a key: its whole value, a token, or the parts of Basic credentials."""
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return [authorization.strip(), token.strip()]
    try:
        user, _, password = base64.b64decode(token.strip(), validate=True).decode("utf-8", "replace").partition(":")
    except (binascii.Error, ValueError):
        return []
    return [user, password]
