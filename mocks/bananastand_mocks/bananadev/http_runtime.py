"""Forwards runs to a Potassium app that is running somewhere. Knows HTTP and Potassium's wire, no provider's API."""

from __future__ import annotations

import asyncio
from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.json_body import MalformedJson, TooDeep, parse
from bananastand.contracts.response import JSON

from .. import forward
from ..kernel.world import World
from . import state
from .runtime import Finished, InstantRuntime, Reply

__all__ = ["HttpRuntime"]


class HttpRuntime(InstantRuntime):
    """Every model is the app at `url`; deployments are pretended, as the instant runtime pretends them.

    A run goes on after its caller was sent away with a callID, and is begun again if the server restarted meanwhile.
    What an app answers on its run URL goes through as it is.
    """

    keeps_outputs = True

    def __init__(self, url: str, *, timeout: float = 300.0) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout

    async def work(self, world: World, model_key: str, inputs: Any) -> Finished:
        """POST the inputs to the app's root handler."""
        try:
            answer = await forward.post(f"{self._url}/", json=inputs, timeout=self._timeout)
        except forward.AppUnreachable as error:
            return Finished(error=f"the app at {self._url} does not answer: {error}")
        try:
            output: Any = parse(answer.content, members=None)
        except (MalformedJson, TooDeep):
            return Finished(error=f"the app answered {answer.status} without JSON")
        if answer.status >= 400:
            told = output.get("message") if isinstance(output, dict) else None
            return Finished(error=str(told or f"the app answered {answer.status}"))
        return Finished(output)

    async def _finish(self, world: World, row: state.Row, wait: float) -> None:
        under_way = state.work(world)
        if row["callID"] not in under_way:
            under_way[row["callID"]] = asyncio.create_task(self._end(world, row))
        await asyncio.wait({under_way[row["callID"]]}, timeout=wait)

    async def _end(self, world: World, row: state.Row) -> None:
        """Do the work of a run, and end it if it is still there: its world may have begun anew meanwhile."""
        finished = await self.work(world, row["modelKey"], row["inputs"])
        if state.runs(world).get(row["callID"]) is not row:
            return
        state.work(world).pop(row["callID"], None)
        if row["state"] != "running":
            return
        row["error"] = finished.error
        if finished.error is None:
            state.keep_output(world, row, finished.output)
        state.end_run(world, row, "succeeded" if finished.error is None else "failed")

    async def _handle(self, world: World, project: state.Row, route: str, body: Any, raw: bytes) -> Reply:
        try:
            answer = await forward.post(f"{self._url}{route}", content=raw, timeout=project["inferenceTimeout"] or None)
        except forward.AppTimeout:
            raise ProviderError("timed_out") from None
        except forward.AppUnreachable:
            raise ProviderError("failed", "the app does not answer") from None
        if answer.status == 423:
            raise ProviderError("busy")
        kind = JSON if answer.content_type.startswith(JSON) else answer.content_type
        return Reply(answer.status, kind, answer.content)
