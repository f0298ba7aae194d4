"""Gives a test the blocking client, or the asynchronous client with blocking methods."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Blocking:
    """An asynchronous client that is waited for, so that one test serves both kinds."""

    def __init__(self, client: Any) -> None:
        self._client, self._loop = client, asyncio.new_event_loop()

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **words: Any) -> Any:
            answer = getattr(self._client, name)(*arguments, **words)
            if hasattr(answer, "__anext__"):
                return self._loop.run_until_complete(_listed(answer))
            return self._loop.run_until_complete(answer)

        return call

    def close(self) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()


async def _listed(items: Any) -> list[Any]:
    return [item async for item in items]


@contextmanager
def client_of(kind: str, endpoint: Any, blocking: Any, asynchronous: Any, **words: Any) -> Iterator[Any]:
    """Returns a strict client of the endpoint: blocking for `sync`, otherwise asynchronous with blocking methods."""
    words |= {"base_url": endpoint.base_url, "strict": True}
    client = blocking(endpoint.key, **words) if kind == "sync" else Blocking(asynchronous(endpoint.key, **words))
    try:
        yield client
    finally:
        client.close()
