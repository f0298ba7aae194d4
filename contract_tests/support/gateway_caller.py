"""Calls an upstream through LowCodeAPI in process."""

from __future__ import annotations

from typing import Any

import httpx2

from bananastand_mocks.lowcodeapi.gateway import Gateway
from bananastand_mocks.lowcodeapi.upstream import Upstream
from in_process import InProcess

__all__ = ["TOKEN", "GatewayCaller"]

TOKEN = "at_r0123456789abcdef0123456789abcdef"


class GatewayCaller:
    """Calls one upstream with the token in the query; `send` adds no token."""

    def __init__(self, upstream: Upstream, kind: str) -> None:
        self.send = InProcess(Gateway(upstream), kind=kind)
        self.world = self.send.world

    def __call__(self, method: str, path: str, json: Any = None, **query: Any) -> httpx2.Response:
        body = {} if json is None else {"json": json}
        return self.send(method, path, params={"api_token": TOKEN, **query}, **body)

    def result(self, method: str, path: str, json: Any = None, **query: Any) -> Any:
        """Returns the result of a call that must succeed."""
        answer = self(method, path, json, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]
