"""Forwards runs to a Potassium app that is running somewhere. Knows HTTP and Potassium's wire, no provider's API."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2

from ..kernel.call import JSON
from ..kernel.errors import ProviderError
from ..kernel.json_body import MalformedJson, TooDeep, parse
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
        self._timeout = httpx2.Timeout(timeout, connect=5.0)

    async def work(self, world: World, model_key: str, inputs: Any) -> Finished:
        """POST the inputs to the app's root handler."""
        try:
            async with httpx2.AsyncClient(timeout=self._timeout) as http:
                answer = await http.post(f"{self._url}/", json=inputs)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return Finished(error=f"the app at {self._url} does not answer: {type(error).__name__}")
        try:
            output: Any = parse(answer.content)
        except (MalformedJson, TooDeep):
            return Finished(error=f"the app answered {answer.status_code} without JSON")
        if answer.status_code >= 400:
            told = output.get("message") if isinstance(output, dict) else None
            return Finished(error=str(told or f"the app answered {answer.status_code}"))
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
            async with httpx2.AsyncClient(timeout=project["inferenceTimeout"] or None) as http:
                answer = await http.post(
                    f"{self._url}{route}", content=raw, headers={"content-type": "application/json"}
                )
        except httpx2.TimeoutException:
            raise ProviderError("timed_out") from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise ProviderError("failed", "the app does not answer") from None
        kind = answer.headers.get("content-type", "text/plain; charset=utf-8")
        if answer.status_code == 423:
            raise ProviderError("busy")
        return Reply(answer.status_code, JSON if kind.startswith(JSON) else kind, answer.content)
