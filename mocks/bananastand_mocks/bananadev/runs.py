"""Runs (A:21-72): start, check, and run, which is start and wait. Knows no runtime in particular.

The answers are those of Banana's own queue, version 4, as recorded: a start that is finished has an empty callID, and
modelOutputs is a list with the app's answer as its only element.
"""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.world import World
from . import state
from .runtime import Run, Runtime

__all__ = ["API_VERSION", "check_run", "checked", "run", "start_run", "started"]

API_VERSION = "January 11, 2023"  # the last one seen


async def start_run(world: World, body: dict[str, Any], runtime: Runtime) -> dict[str, Any]:
    """Begin a run and wait for its outputs, unless startOnly is true (A:22-38).

    A startOnly that is not a boolean, as in the document's own example (A:36), is not true. Raises ProviderError:
    model_not_found.
    """
    wait = None if body.get("startOnly") is True else state.setting(world, "hold_seconds")
    return started(await _submit(world, body, runtime, wait), only=body.get("startOnly") is True)


async def run(world: World, body: dict[str, Any], runtime: Runtime) -> dict[str, Any]:
    """Begin a run and wait for its outputs (A:57-72). Raises ProviderError: model_not_found."""
    return started(await _submit(world, body, runtime, state.setting(world, "hold_seconds")))


async def check_run(world: World, body: dict[str, Any], runtime: Runtime) -> dict[str, Any]:
    """The run whose id or callID is given, of the model whose key is given (A:40-55).

    Raises ProviderError: model_not_found, or run_not_found, also for a run of another model.
    """
    row = state.model(world, body["modelKey"])
    found = await runtime.check(world, body["id"], wait=0.0)
    if found is None or found.model_key != row["modelKey"]:
        raise ProviderError("run_not_found")
    return checked(found)


def started(run: Run, *, only: bool = False) -> dict[str, Any]:
    """A run as start answers it; with `only` it is not shown finished even if it is."""
    over = run.status != "running" and not only
    return {
        "id": run.id,
        "message": f"error: {run.error}" if over and run.error is not None else "",
        "created": run.created,
        "apiVersion": API_VERSION,
        "callID": "" if over else run.call_id,
        "finished": over,
        "modelOutputs": [run.output] if over and run.error is None else None,
    }


def checked(run: Run) -> dict[str, Any]:
    """A run as check answers it."""
    over = "success" if run.error is None else f"error: {run.error}"
    return {
        "id": run.id,
        "message": "running" if run.status == "running" else over,
        "created": run.created,
        "apiVersion": API_VERSION,
        "modelOutputs": [run.output] if run.status == "succeeded" else None,
    }


async def _submit(world: World, body: dict[str, Any], runtime: Runtime, wait: float | None) -> Run:
    return await runtime.submit(world, body["modelKey"], body["modelInputs"], id=None, wait=wait)
