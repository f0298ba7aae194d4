"""Banana's own queue: start and check, versions 2 to 4. Knows no management API.

Observed: the key travels in the body as apiKey, every answer has status 200, and a failure is a message with "error"
in it.
"""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.call import ApiCall
from ..kernel.world import World
from . import state
from .runs import API_VERSION, checked, started
from .runtime import Runtime

__all__ = ["check_run", "refused", "start_run"]

SECOND_VERSION = ("id", "message", "created", "apiVersion", "callID")


async def start_run(world: World, body: dict[str, Any], call: ApiCall, runtime: Runtime) -> dict[str, Any]:
    """Begin a run; without startOnly the call is held for up to a minute and may bring the outputs."""
    only = body.get("startOnly", False) or _is_second(call)
    wait = None if only else state.setting(world, "hold_seconds")
    run = await runtime.submit(world, body["modelKey"], body["modelInputs"], id=body.get("id") or None, wait=wait)
    return _of_version(call, started(run, only=only))


async def check_run(world: World, body: dict[str, Any], runtime: Runtime) -> dict[str, Any]:
    """A run as it stands; with longPoll the call is held until it is done, for 50 seconds at most."""
    wait = state.setting(world, "long_poll_seconds") if body.get("longPoll") else 0.0
    run = await runtime.check(world, body["callID"], wait=wait)
    if run is None:
        raise ProviderError("run_not_found")
    return {**checked(run), "id": body.get("id") or run.id}


def refused(call: ApiCall) -> dict[str, Any]:
    """The answer of the called operation around an error, its message still to be set."""
    world = call.world
    sent = call.body.get("id") if isinstance(call.body, dict) else None
    answer: dict[str, Any] = {
        "id": sent if isinstance(sent, str) and sent else world.ids.uuid(),
        "message": "",
        "created": int(world.clock.now()),
        "apiVersion": API_VERSION,
    }
    if call.operation.id == "check_run":
        return {**answer, "modelOutputs": None}
    return _of_version(call, {**answer, "callID": "", "finished": False, "modelOutputs": None})


def _is_second(call: ApiCall) -> bool:
    return call.operation.template.startswith("/start/v2")


def _of_version(call: ApiCall, answer: dict[str, Any]) -> dict[str, Any]:
    """Version 2 knew no finished and no modelOutputs; its caller always asks with check."""
    return {name: answer[name] for name in SECOND_VERSION} if _is_second(call) else answer
