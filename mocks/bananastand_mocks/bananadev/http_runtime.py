"""Forwards runs to a Potassium app that is running somewhere. Knows HTTP and Potassium's wire, no provider's API."""

from __future__ import annotations

import asyncio
from typing import Any

from .. import forward
from ..kernel.errors import ProviderError
from ..kernel.world import World
from . import state
from .runtime import Finished, InstantRuntime, Reply

__all__ = ["HttpRuntime"]


class HttpRuntime(InstantRuntime):
    """Every model is the app at `url`; deployments are pretended, as the instant runtime pretends them.

    A run goes on after its caller was sent away with a callID, and is begun again if the server restarted meanwhile.
    """

    keeps_outputs = True

    def __init__(self, url: str, *, timeout: float = 300.0) -> None:
        super().__init__()
        self._url = url.rstrip("/")
        self._timeout = timeout

    async def work(self, world: World, model_key: str, inputs: Any) -> Finished:
        """POST the inputs to the app's root handler."""
        try:
            answer = await forward.post(f"{self._url}/", json=inputs, timeout=self._timeout)
        except forward.Unreachable as error:
            return Finished(error=f"the app at {self._url} does not answer: {error}")
        if answer.status >= 400:
            told = answer.json.get("message") if isinstance(answer.json, dict) else None
            return Finished(error=told or f"the app answered {answer.status}")
        return Finished(answer.json)

    async def _outcome(self, world: World, row: state.Row, wait: float) -> Finished | None:
        key = (world.name, row["callID"])
        if key not in self._work:
            self._work[key] = asyncio.create_task(self.work(world, row["modelKey"], row["inputs"]))
        done, _ = await asyncio.wait({self._work[key]}, timeout=wait)
        if not done:
            return None
        self._work.pop(key, None)
        return done.pop().result()

    async def _handle(self, world: World, project: state.Row, route: str, body: Any, raw: bytes) -> Reply:
        try:
            answer = await forward.post(f"{self._url}{route}", content=raw, timeout=project["inferenceTimeout"] or None)
        except forward.Late:
            raise ProviderError("timed_out") from None
        except forward.Unreachable:
            raise ProviderError("failed", "the app does not answer") from None
        if answer.status == 423:
            raise ProviderError("busy")
        if answer.content_type.startswith("application/json"):
            return Reply(answer.status, "application/json", answer.json)
        return Reply(answer.status, answer.content_type, answer.content)
