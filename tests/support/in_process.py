"""A mock provider called in process: no socket, no thread, the answers checked against the contract on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2

from bananastand_mocks.kernel.app import ProviderApp
from bananastand_mocks.kernel.provider import Provider
from bananastand_mocks.kernel.worlds import Worlds


class InProcess:
    """One provider with a default world of a kind, in virtual time and with a fixed seed."""

    def __init__(self, provider: Provider, *, kind: Any = "documents", headers: dict[str, str] | None = None) -> None:
        self.worlds = Worlds([provider], kind=kind, seed=1, virtual=True)
        self.world = self.worlds.default
        self._app = ProviderApp(provider, self.worlds, strict=True)
        self._headers = headers or {}

    def __call__(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Send a request; `params`, `json` and `headers` are httpx2's."""

        async def send() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=self._app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://mock", headers=self._headers) as client:
                return await client.request(method, path, **request)

        answer = asyncio.run(send())
        assert self.world.breaches == []
        return answer
