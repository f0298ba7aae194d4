"""A project's run URL: https://{project}.run.banana.dev on the real service."""

from __future__ import annotations

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.request import ApiRequest
from bananastand.contracts.response import ApiResponse

from .runtime import WARMUP, Runtime, RunUrls

__all__ = ["call_project", "warmup_project"]


async def call_project(runtime: Runtime, request: ApiRequest) -> ApiResponse:
    """Return what the app answers on that route, whatever it is.

    Raises:
        ProviderError: project_not_found, no_replicas, busy, timed_out, failed.
    """
    return await _forward(runtime, request, f"/{request.parameters.get('route', '')}")


async def warmup_project(runtime: Runtime, request: ApiRequest) -> ApiResponse:
    """Start a replica; no handler runs."""
    return await _forward(runtime, request, WARMUP)


async def _forward(runtime: Runtime, request: ApiRequest, route: str) -> ApiResponse:
    project = runtime.find_project(request.parameters["project"])
    if project is None or not isinstance(runtime, RunUrls):
        raise ProviderError("project_not_found")
    request_id = request.headers.get("x-banana-request-id")
    return await runtime.call(project, route, request.body, request.raw or b"{}", request_id=request_id)
