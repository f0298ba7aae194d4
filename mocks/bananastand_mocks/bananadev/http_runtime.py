"""The runtime that forwards runs to a Potassium app which runs somewhere."""

from __future__ import annotations

import asyncio
from typing import Any

from bananastand.banana_api.runtime import BananaProject
from bananastand.contracts.errors import ProviderError
from bananastand.contracts.json_body import MalformedJson, TooDeep, parse
from bananastand.contracts.response import JSON, ApiResponse

from .. import forward
from ..kernel.world import World
from . import state
from .runtime import Finished, InstantRuntime

__all__ = ["HttpRuntime"]


class HttpRuntime(InstantRuntime):
    """Every model is the app at `url`; deployments are pretended, as the instant runtime pretends them.

    A run goes on after its caller was sent away with a callID, and is begun again if the server restarted meanwhile.
    The app's response to a call of its run URL passes unchanged.

    Args:
        world: Keeps the state.
        url: The address of the app.
        timeout: Seconds that a run may take.
    """

    keeps_outputs = True

    def __init__(self, world: World, url: str, *, timeout: float = 300.0) -> None:
        super().__init__(world)
        self._url = url.rstrip("/")
        self._timeout = timeout

    async def work(self, model_key: str, inputs: Any) -> Finished:
        """POST the inputs to the app's root handler."""
        try:
            response = await forward.post(f"{self._url}/", json=inputs, timeout=self._timeout)
        except forward.AppUnreachable as error:
            return Finished(error=f"the app at {self._url} does not answer: {error}")
        try:
            output: Any = parse(response.content, members=None)
        except (MalformedJson, TooDeep):
            return Finished(error=f"the app answered {response.status} without JSON")
        if response.status >= 400:
            message = output.get("message") if isinstance(output, dict) else None
            return Finished(error=str(message or f"the app answered {response.status}"))
        return Finished(output)

    async def _finish(self, row: state.Row, wait: float) -> None:
        tasks = state.work(self._world)
        if row["callID"] not in tasks:
            tasks[row["callID"]] = asyncio.create_task(self._end(row))
        await asyncio.wait({tasks[row["callID"]]}, timeout=wait)

    async def _end(self, row: state.Row) -> None:
        """Do the work of a run, and end it unless its world was reset meanwhile."""
        world, finished = self._world, await self.work(row["modelKey"], row["inputs"])
        if state.runs(world).get(row["callID"]) is not row:
            return
        state.work(world).pop(row["callID"], None)
        if row["state"] != "running":
            return
        row["error"] = finished.error
        if finished.error is None:
            state.keep_output(world, row, finished.output)
        state.end_run(world, row, "succeeded" if finished.error is None else "failed")

    async def _handle(self, project: BananaProject, route: str, body: Any, raw: bytes) -> ApiResponse:
        timeout = project.inference_timeout or None
        try:
            response = await forward.post(f"{self._url}{route}", content=raw, timeout=timeout)
        except forward.AppTimeout:
            raise ProviderError("timed_out") from None
        except forward.AppUnreachable:
            raise ProviderError("failed", "the app does not answer") from None
        if response.status == 423:
            raise ProviderError("busy")
        kind = JSON if response.content_type.startswith(JSON) else response.content_type
        return ApiResponse(response.content, response.status, content_type=kind)
