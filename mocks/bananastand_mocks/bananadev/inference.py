"""A project's run URL: https://{project}.run.banana.dev on the real service. Knows no queue."""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.world import World
from . import state
from .runtime import WARMUP, Runtime, RunUrls

__all__ = ["call_project", "warmup_project"]


async def call_project(
    world: World, parameters: dict[str, Any], body: Any, call: ApiCall, runtime: Runtime
) -> ApiResponse:
    """What the app answers on that route, whatever it is.

    Raises ProviderError: project_not_found, no_replicas, busy, timed_out, failed.
    """
    return await _forward(world, parameters, f"/{parameters.get('route', '')}", body, call, runtime)


async def warmup_project(
    world: World, parameters: dict[str, Any], body: Any, call: ApiCall, runtime: Runtime
) -> ApiResponse:
    """Bring a replica up; no handler runs."""
    return await _forward(world, parameters, WARMUP, body, call, runtime)


async def _forward(
    world: World, parameters: dict[str, Any], route: str, body: Any, call: ApiCall, runtime: Runtime
) -> ApiResponse:
    project = state.find_model(world, parameters["project"])
    if project is None or not isinstance(runtime, RunUrls):
        raise ProviderError("project_not_found")
    request_id = call.headers.get("x-banana-request-id")
    reply = await runtime.call(world, project, route, body, call.raw or b"{}", request_id=request_id)
    return ApiResponse(reply.body, reply.status, content_type=reply.content_type, pieces=reply.pieces)
