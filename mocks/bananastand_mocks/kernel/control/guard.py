"""Guards the control plane: checks Host and Origin, and that a body is JSON of a bearable size and depth.

FastAPI by itself would read a body of any size and depth, and NaN.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from bananastand.asgi.bodies import BodyBudget, BodyTooLarge, BudgetExceeded, ClientDisconnected, read_body
from bananastand.asgi.responses import send_json
from bananastand.contracts.json_body import MAX_DEPTH, MalformedJson, TooDeep, parse

__all__ = ["PAGES", "ControlGuard"]

PAGES = "/_stand/pages"  # below it bodies are forms

LOOPBACK = frozenset(("127.0.0.1", "localhost", "[::1]", "::1"))
DEPTH = MAX_DEPTH + 20  # an exported world holds the bodies of its calls some levels down
MAX_BODY = 512 * 2**20  # bytes; an exported world has its blobs in it


class ControlGuard:
    """ASGI middleware that lets in requests of this machine alone.

    Args:
        app: The control plane.
        hosts: Names beside localhost that Host may have. An Origin must be that of the request itself.
        max_body: Bytes that a body may have.
        budget: The memory that all bodies of the server share.
    """

    def __init__(
        self, app: Any, *, hosts: Iterable[str] = (), max_body: int = MAX_BODY, budget: BodyBudget | None = None
    ) -> None:
        self._app, self._hosts, self._max_body = app, LOOPBACK | frozenset(hosts), max_body
        self._budget = budget or BodyBudget(max_body)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if (refusal := self._foreign(headers)) is not None:
            await send_json(send, 403, {"detail": refusal})
            return
        with self._budget.reserve() as reservation:
            try:
                body = await read_body(receive, self._max_body, reservation)
                if body and not scope["path"].startswith(PAGES):
                    parse(body, DEPTH, None)
            except ClientDisconnected:
                return
            except BodyTooLarge as error:
                await send_json(send, 413, {"detail": str(error)})
            except BudgetExceeded:
                await send_json(send, 503, {"detail": "too much is being sent"})
            except (MalformedJson, TooDeep) as error:
                await send_json(send, 400, {"detail": f"the body is no JSON that is read here: {error}"})
            else:
                await self._app(scope, _replay(body), send)

    def _foreign(self, headers: dict[str, str]) -> str | None:
        """Return why a request is refused; None where it comes from this machine."""
        host = headers.get("host", "")
        if _part(f"//{host}", "hostname") not in self._hosts:
            return f"Host {host} is not this machine; list it to allow it"
        origin = headers.get("origin")
        if origin is not None and _part(origin, "netloc") != host:
            return f"Origin {origin} may not use the control plane"
        return None


def _replay(body: bytes) -> Any:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def _part(url: str, name: str) -> str:
    """Return a part of a URL; empty where it cannot be read."""
    try:
        return getattr(urlsplit(url), name) or ""
    except ValueError:
        return ""
