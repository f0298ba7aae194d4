"""The operations of queue.fal.run: submit, status, stream of statuses, result, cancel; and the runs of fal.run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.json_body import dump
from bananastand.contracts.response import ApiResponse

from ..falai.state import catalogue
from ..kernel.call import ApiCall
from ..kernel.world import World
from .addresses import media_base, queue_base
from .lifecycle import RequestRunner, new_request
from .outputs import output_of
from .state import Row, application_of, find_request, requests, setting
from .webhooks import outbox

__all__ = ["cancel", "result", "run", "status", "stream", "submit"]

PERIOD = 0.02  # seconds between two looks of a stream
STEP = 4.0  # seconds that a stream moves the clock of a world with auto_advance between two looks
KEEP_ALIVE = 15.0  # seconds without an event, after which a stream sends a comment
FOLDERS = ("run/", "rest/", "media/")  # below which the mock has fal's other hosts
STREAM = "/stream"
YES = ("1", "true", "yes", "on")

Parameters = dict[str, Any]


def submit(world: World, parameters: Parameters, body: Any, call: ApiCall, runner: RequestRunner) -> ApiResponse:
    """Put a request into the queue of a model. Raises ProviderError: unknown_application, unknown_route."""
    model = _require_model(world, parameters["model_id"])
    url = parameters.get("fal_webhook")
    row = new_request(world, model, body, None if url is None else outbox(url, media_base(call)))
    timeout = parameters.get("x-fal-request-start-timeout", parameters.get("x-fal-request-timeout"))
    runner.begin(world, row, start_timeout=_seconds_of(timeout))
    answer = _status(world, row, queue_base(call), logs=False)
    if url is not None:
        answer["gateway_request_id"] = row["request_id"]
    return ApiResponse(answer, 200, _request_headers(row))


def status(world: World, parameters: Parameters, call: ApiCall, runner: RequestRunner) -> ApiResponse:
    """Return the status of a request: 202 until it is completed. Raises ProviderError: request_not_found."""
    row = _find(world, parameters)
    runner.poll(world, row)
    code = 200 if row["state"] == "COMPLETED" else 202
    return ApiResponse(_status(world, row, queue_base(call), logs=_wants_logs(parameters)), code, _request_headers(row))


def stream(world: World, parameters: Parameters, call: ApiCall, runner: RequestRunner) -> ApiResponse:
    """Send each status of a request as an event until it is completed. Raises ProviderError: request_not_found."""
    row = _find(world, parameters)
    events = _events(world, row, queue_base(call), runner, logs=_wants_logs(parameters))
    headers = {**_request_headers(row), "cache-control": "no-cache"}
    return ApiResponse(b"", 200, headers, "text/event-stream", events)


async def result(world: World, parameters: Parameters, call: ApiCall) -> ApiResponse:
    """Return the output of a completed request, or its error. Raises ProviderError: request_not_found, in_progress."""
    row = _find(world, parameters)
    if row["state"] != "COMPLETED":
        raise ProviderError("in_progress")
    return await _result(row, media_base(call))


def cancel(world: World, parameters: Parameters, runner: RequestRunner) -> ApiResponse:
    """Remove a request from the queue, or stop it."""
    row = requests(world).get(parameters["request_id"])
    if row is None or row["application"] != parameters["model_id"]:
        return ApiResponse({"status": "NOT_FOUND"}, 404)
    if row["state"] == "COMPLETED":
        return ApiResponse({"status": "ALREADY_COMPLETED"}, 400, _request_headers(row))
    was_queued = row["state"] == "IN_QUEUE"
    runner.cancel(world, row)
    if was_queued:
        return ApiResponse({"status": "OK"}, 200, _request_headers(row))
    return ApiResponse({"status": "CANCELLATION_REQUESTED"}, 202, _request_headers(row))


async def run(world: World, parameters: Parameters, body: Any, call: ApiCall, runner: RequestRunner) -> ApiResponse:
    """Run a model and return its output or its error; with /stream behind its id the output comes in events.

    Raises:
        ProviderError: unknown_application, unknown_route.
    """
    path = parameters["model_id"].removesuffix("/")
    is_stream = path.removeprefix(application_of(path)).endswith(STREAM)
    row = new_request(world, _require_model(world, path.removesuffix(STREAM) if is_stream else path), body)
    await runner.run(world, row)
    answer = await _result(row, media_base(call))
    if is_stream and answer.status == 200:
        headers = {**answer.headers, "cache-control": "no-cache"}
        return ApiResponse(b"", 200, headers, "text/event-stream", _outputs(answer.body))
    return answer


async def _outputs(output: dict[str, Any]) -> AsyncGenerator[bytes]:
    """An output as events: one for each picture, with those before it."""
    pictures = output.get("images", ())
    for count in range(1, len(pictures)):
        yield b"data: " + dump({**output, "images": pictures[:count]}) + b"\n\n"
    yield b"data: " + dump(output) + b"\n\n"


async def _result(row: Row, base: str) -> ApiResponse:
    body = await asyncio.to_thread(output_of, row, base) if row["inline"] else output_of(row, base)
    headers = _request_headers(row)
    if row["status"] != 200:
        headers["x-fal-retryable"] = "false"
    if row["error_type"] is not None:
        headers["x-fal-error-type"] = row["error_type"]
    if row["error_type"] == "request_timeout":
        headers["x-fal-request-timeout-type"] = "user"
    return ApiResponse(body, row["status"], headers)


async def _events(world: World, row: Row, base: str, runner: RequestRunner, *, logs: bool) -> AsyncGenerator[bytes]:
    """The statuses of a request as they change, with the log lines that are new in each."""
    previous, lines, at = None, 0, time.monotonic()
    while requests(world).get(row["request_id"]) is row:
        world.clock.run_due()
        runner.poll(world, row)
        current = _status(world, row, base, logs=logs)
        if current != previous:
            previous, at = current, time.monotonic()
            event = {**current, "logs": current["logs"][lines:]} if logs else current
            lines = len(row["logs"])
            yield b"data: " + dump(event) + b"\n\n"
        elif time.monotonic() - at > KEEP_ALIVE:
            at = time.monotonic()
            yield b": ping\n\n"
        if row["state"] == "COMPLETED":
            return
        await asyncio.sleep(PERIOD)
        if world.auto_advance and world.clock.virtual and world.clock.pending:
            await asyncio.to_thread(world.clock.advance, STEP)


def _status(world: World, row: Row, base: str, *, logs: bool) -> dict[str, Any]:
    url = f"{base}/{row['application']}/requests/{row['request_id']}"
    answer: dict[str, Any] = {
        "status": row["state"],
        "request_id": row["request_id"],
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
        "logs": list(row["logs"]) if logs else None,
        "metrics": {},
    }
    if row["state"] == "IN_QUEUE":
        answer["queue_position"] = _position(world, row)
    if row["state"] == "COMPLETED" and row["started_at"] is not None:
        answer["metrics"] = {"inference_time": round(row["completed_at"] - row["started_at"], 6)}
    answer |= {name: row[name] for name in ("error", "error_type") if row[name] is not None}
    return answer


def _position(world: World, row: Row) -> int:
    """How many requests of the same application are ahead."""
    ahead = 0
    for other in requests(world).values():
        if other is row:
            break
        ahead += other["state"] == "IN_QUEUE" and other["application"] == row["application"]
    return ahead


def _find(world: World, parameters: Parameters) -> Row:
    return find_request(world, parameters["model_id"], parameters["request_id"])


def _require_model(world: World, path: str) -> str:
    """Return the model of a path; fal's client for Node ends the path with a slash where it was passed a URL."""
    model = path.removesuffix("/")
    application_of(model)
    if model.startswith(FOLDERS):
        raise ProviderError("unknown_route")
    if not setting(world, "any_model") and model not in catalogue():
        raise ProviderError("unknown_application", model.split("/")[1])
    return model


def _request_headers(row: Row) -> dict[str, str]:
    return {"x-fal-request-id": row["request_id"]}


def _wants_logs(parameters: Parameters) -> bool:
    logs = parameters.get("logs", "")
    return (logs[-1] if isinstance(logs, list) else logs).lower() in YES  # type: ignore[reportUnknownVariableType]


def _seconds_of(text: str | None) -> float | None:
    """The seconds of a header; None where it has none that can be read."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if seconds > 0 else None
