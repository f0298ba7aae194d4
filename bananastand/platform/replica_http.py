"""Asks replicas over HTTP, the one module of the platform that does. Knows no call and no project."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

__all__ = ["Answer", "Late", "Lost", "NotTaken", "ReplicaHttp", "TooLong"]

CONNECT = 5.0
PROBE = 2.0

Head = Callable[[int, str], None]
Chunk = Callable[[bytes], Awaitable[None]]


class NotTaken(Exception):
    """No handler has seen the call."""


class Lost(Exception):
    """The connection broke before the answer was whole: a handler may have run."""


class Late(Exception):
    """The answer did not come in time."""


class TooLong(Exception):
    """The answer is longer than may be kept."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the app answered."""

    status: int
    content_type: str
    body: bytes

    def json(self) -> Any:
        """The body's JSON; None where it is none."""
        try:
            return httpx2.Response(self.status, content=self.body).json()
        except ValueError:
            return None


class ReplicaHttp:
    """Connections to all replicas, kept open between calls."""

    def __init__(self, *, longest: int = 256 * 2**20) -> None:
        self._longest = longest
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=256, keepalive_expiry=20.0)
        timeout = httpx2.Timeout(None, connect=CONNECT)
        self._client = httpx2.AsyncClient(limits=limits, timeout=timeout, trust_env=False, follow_redirects=False)

    async def post(
        self, port: int, route: str, body: bytes, headers: Mapping[str, str], timeout: float, *,
        on_head: Head | None = None, on_chunk: Chunk | None = None,
    ) -> Answer:  # fmt: skip
        """POST and take the whole answer, telling of its head and of each piece meanwhile.

        Raises NotTaken, Lost, Late, TooLong.
        """
        sent = {"content-type": "application/json", **headers}
        try:
            async with (
                asyncio.timeout(timeout),
                self._client.stream("POST", _url(port, route), content=body, headers=sent) as response,
            ):
                kind = response.headers.get("content-type", "application/octet-stream")
                if on_head is not None:
                    on_head(response.status_code, kind)
                pieces, size = list[bytes](), 0
                async for piece in response.aiter_bytes():
                    pieces.append(piece)
                    size += len(piece)
                    if size > self._longest:
                        raise TooLong
                    if on_chunk is not None:
                        await on_chunk(piece)
                return Answer(response.status_code, kind, b"".join(pieces))
        except TimeoutError:
            raise Late from None
        except httpx2.ConnectError as error:
            raise NotTaken(type(error).__name__) from error
        except httpx2.HTTPError as error:
            raise Lost(type(error).__name__) from error

    async def get(self, port: int, path: str) -> Answer | None:
        """What a probe of a replica answers; None where nothing does."""
        try:
            response = await self._client.get(_url(port, path), timeout=PROBE)
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return None
        return Answer(response.status_code, response.headers.get("content-type", ""), response.content)

    async def close(self) -> None:
        """End all connections."""
        await self._client.aclose()


def _url(port: int, route: str) -> str:
    return f"http://127.0.0.1:{port}{route}"
