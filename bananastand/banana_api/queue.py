"""Banana's own queue: start and check, versions 2 to 4.

Observed: the key travels in the body as apiKey, every response has status 200, and a failure is a message with "error"
in it.
"""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.request import ApiRequest

from .runs import API_VERSION, checked_run, started_run
from .runtime import Runtime

__all__ = ["check_run", "refused_run", "start_run"]

SECOND_VERSION = ("id", "message", "created", "apiVersion", "callID")


async def start_run(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Begin a run; without startOnly the call is held for up to a minute and may bring the outputs.

    Raises:
        ProviderError: model_not_found.
    """
    body = request.body
    only = body.get("startOnly", False) or _is_second_version(request)
    wait = None if only else runtime.hold_seconds
    run = await runtime.submit(body["modelKey"], body["modelInputs"], id=body.get("id") or None, wait=wait)
    return _of_version(request, started_run(run, only=only))


async def check_run(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Return a run as it stands; with longPoll the call is held until it ends, for 50 seconds at most.

    Raises:
        ProviderError: run_not_found.
    """
    body = request.body
    run = await runtime.check(body["callID"], wait=runtime.long_poll_seconds if body.get("longPoll") else 0.0)
    if run is None:
        raise ProviderError("run_not_found")
    return {**checked_run(run), "id": body.get("id") or run.id}


def refused_run(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Return the response of start or check around an error, its message still to be set."""
    sent = request.body.get("id") if isinstance(request.body, dict) else None
    response: dict[str, Any] = {
        "id": sent if isinstance(sent, str) and sent else runtime.new_id(),
        "message": "",
        "created": int(runtime.now()),
        "apiVersion": API_VERSION,
    }
    if request.operation.id == "check_run":
        return {**response, "modelOutputs": None}
    return _of_version(request, {**response, "callID": "", "finished": False, "modelOutputs": None})


def _is_second_version(request: ApiRequest) -> bool:
    return request.operation.template.startswith("/start/v2")


def _of_version(request: ApiRequest, response: dict[str, Any]) -> dict[str, Any]:
    """Version 2 knew no finished and no modelOutputs; its caller always asks with check."""
    return {name: response[name] for name in SECOND_VERSION} if _is_second_version(request) else response
