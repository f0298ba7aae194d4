"""Runs (A:21-72): start, check, and run, which is start and wait.

The responses are those of Banana's own queue, version 4, as recorded: a start that is finished has an empty callID, and
modelOutputs is a list with the app's response as its only element.
"""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.request import ApiRequest

from .runtime import BananaRun, Runtime

__all__ = ["API_VERSION", "check_run", "checked_run", "run", "start_run", "started_run"]

API_VERSION = "January 11, 2023"  # the last one seen


async def start_run(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Begin a run and wait for its output, unless startOnly is true (A:22-38).

    A startOnly that is not a boolean, as in the document's own example (A:36), is not true.

    Raises:
        ProviderError: model_not_found.
    """
    only = request.body.get("startOnly") is True
    return started_run(await _submit(runtime, request.body, None if only else runtime.hold_seconds), only=only)


async def run(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Begin a run and wait for its output (A:57-72).

    Raises:
        ProviderError: model_not_found.
    """
    return started_run(await _submit(runtime, request.body, runtime.hold_seconds))


async def check_run(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Return the run of that id or callID, of the model of that key (A:40-55).

    Raises:
        ProviderError: model_not_found, or run_not_found, also for a run of another model.
    """
    model = runtime.find_model(request.body["modelKey"])
    if model is None:
        raise ProviderError("model_not_found")
    found = await runtime.check(request.body["id"], wait=0.0)
    if found is None or found.model_key != model.model_key:
        raise ProviderError("run_not_found")
    return checked_run(found)


def started_run(run: BananaRun, *, only: bool = False) -> dict[str, Any]:
    """Return a run as start answers it; with `only` it is not reported finished even if it is."""
    is_over = run.status != "running" and not only
    return {
        "id": run.id,
        "message": f"error: {run.error}" if is_over and run.error is not None else "",
        "created": run.created,
        "apiVersion": API_VERSION,
        "callID": "" if is_over else run.call_id,
        "finished": is_over,
        "modelOutputs": [run.output] if is_over and run.error is None else None,
    }


def checked_run(run: BananaRun) -> dict[str, Any]:
    """Return a run as check answers it."""
    end = "success" if run.error is None else f"error: {run.error}"
    return {
        "id": run.id,
        "message": "running" if run.status == "running" else end,
        "created": run.created,
        "apiVersion": API_VERSION,
        "modelOutputs": [run.output] if run.status == "succeeded" else None,
    }


async def _submit(runtime: Runtime, body: dict[str, Any], wait: float | None) -> BananaRun:
    return await runtime.submit(body["modelKey"], body["modelInputs"], id=None, wait=wait)
