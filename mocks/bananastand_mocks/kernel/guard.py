"""What stands before the control plane: whose request it may be, how large, and that its body is JSON.

Knows ASGI, no world. FastAPI would read a body of any size and depth, and NaN.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from bananastand.asgi.bodies import BodyBudget
from bananastand.contracts.json_body import MAX_DEPTH, MalformedJson, TooDeep, parse

__all__ = ["Guard"]

LOOPBACK = frozenset(("127.0.0.1", "localhost", "[::1]", "::1"))
DEPTH = MAX_DEPTH + 20  # an exported world has bodies of its callers in it, some levels down
MOST = 512 * 2**20  # bytes; an exported world has its blobs in it


class _Held:
    """How many bytes of a body are counted."""

    def __init__(self) -> None:
        self.size = 0


class Guard:
    """Passes on what is this machine's own; Host is loopback or one of `hosts`, a foreign Origin is refused."""

    def __init__(
        self, app: Any, *, hosts: Iterable[str] = (), most: int = MOST, budget: BodyBudget | None = None
    ) -> None:
        self._app, self._hosts, self._most = app, LOOPBACK | frozenset(hosts), most
        self._budget = budget or BodyBudget(most)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer in place of the control plane where something is wrong."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if (refused := self._stranger(headers)) is not None:
            await _say(send, 403, refused)
            return
        held = _Held()
        try:
            body = await self._body(receive, held)
            if isinstance(body, int):
                text = f"the body is longer than {self._most} bytes" if body == 413 else "too much is being sent"
                await _say(send, body, text)
            elif body and (wrong := _wrong(body)) is not None:
                await _say(send, 400, wrong)
            else:
                await self._app(scope, _replay(body), send)
        finally:
            self._budget.free(held.size)

    def _stranger(self, headers: dict[str, str]) -> str | None:
        host = headers.get("host", "")
        if _hostname(f"//{host}") not in self._hosts:
            return f"Host {host} is not this machine; list it to allow it"
        origin = headers.get("origin")
        if origin is not None and _netloc(origin) != host:
            return f"Origin {origin} may not use the control plane"
        return None

    async def _body(self, receive: Any, held: _Held) -> bytes | int:
        """The body; the status where it is too long, or all bodies together hold too much."""
        chunks, more = list[bytes](), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            chunk = message.get("body", b"")
            if not self._budget.take(held.size, len(chunk)):
                return 503
            chunks.append(chunk)
            held.size += len(chunk)
            more = message.get("more_body", False)
            if held.size > self._most:
                return 413
        return b"".join(chunks)


def _wrong(body: bytes) -> str | None:
    try:
        parse(body, DEPTH, None)
    except (MalformedJson, TooDeep) as error:
        return f"the body is no JSON that is read here: {error}"
    return None


def _replay(body: bytes) -> Any:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


async def _say(send: Any, status: int, detail: str) -> None:
    raw = json.dumps({"detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": raw})
