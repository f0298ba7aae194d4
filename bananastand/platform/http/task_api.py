"""Banana's first API: `api/task/start/v1` and `api/task/check/v1`, and `feedback/v2`.

banana-dev 0.0.1 to 0.1.0, 2.0.0 and 2.0.1 use it, and the Node and Go clients of that time. Everything they send is in
a `data` object. They read `success`, `message`, `data.taskID`, `data.taskStatus` ("Done"; else not yet) and
`data.taskOut`; statuses other than 200 are raised with the body's `message`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..errors import NotFound, PlatformError, Refused, Unauthorized
from ..platform import Platform
from ..scheduling.pending_call import PendingCall
from ..store.calls import CallOutcome
from .proxy import read_body

__all__ = ["is_task_path", "serve_task_api"]

VERSION = "Nov 14 2021"  # the first in a known answer
LONG_POLL = 50.0  # seconds that a check waits for the task
MAX_FEEDBACK = 2000  # characters of a feedback in the log

Body = dict[str, Any]


def is_task_path(path: str) -> bool:
    """Return whether a path is one of this API's, with or without a trailing slash."""
    return path.rstrip("/") in OPERATIONS


async def serve_task_api(platform: Platform, request: Request) -> Response:
    """Answer a request whose path is one of `is_task_path`."""
    body: Body = {}
    try:
        if request.method != "POST":
            raise _WrongMethod("send a POST request")
        body = _object("the body", _parsed(await read_body(request, platform.settings.max_body)))
        answer = await OPERATIONS[request.url.path.rstrip("/")](platform, body)
    except PlatformError as error:
        return JSONResponse(_answer(body, success=False, message=str(error), data=None), error.status)
    return JSONResponse({**_answer(body, success=True, message="success", data={}), **answer})


class _WrongMethod(Refused):
    """The request is no POST."""

    code, status = "method_not_allowed", 405


async def _start(platform: Platform, body: Body) -> Body:
    data = _object("data", body.get("data"))
    _check_key(platform, data.get("apiKey"))
    project = platform.projects.find(_text("data.modelKey", data.get("modelKey")))
    if project is None:
        raise NotFound(f"there is no model {str(data['modelKey'])[:100]}: `bananastand deploy` prints model keys")
    if "modelParameters" not in data:
        raise Refused("data.modelParameters is missing: it holds the model's inputs")
    pending = await platform.submit(project, "/", json.dumps(data["modelParameters"]).encode(), run_id=_id(body))
    return {"data": {"taskID": pending.call.id}}


async def _check(platform: Platform, body: Body) -> Body:
    """Answer a check. The Node and Go clients send no key here: a task's id is as hard to guess."""
    data = _object("data", body.get("data"))
    pending = await _call(platform, data.get("apiKey"), data.get("taskID"), "data.taskID")
    outcome = await pending.outcome(LONG_POLL if body.get("longPoll") is True else 0.0)
    if outcome is None:
        return {"data": {"taskID": pending.call.id, "taskStatus": "Running", "taskOut": None}}
    error, output = _read(outcome)
    if error is not None:
        return {"success": False, "message": error, "data": {"taskID": pending.call.id, "taskStatus": "Failed"}}
    return {"data": {"taskID": pending.call.id, "taskStatus": "Done", "taskOut": output}}


async def _feedback(platform: Platform, body: Body) -> Body:
    """Write a user's feedback to the project's log. Errors have status 200, as everywhere in version 2."""
    try:
        pending = await _call(platform, body.get("apiKey"), body.get("callID"), "callID")
    except PlatformError as error:
        return {"success": False, "message": f"error: {error}"}
    project = platform.projects.get(pending.call.project_id)
    if project is not None:
        feedback = json.dumps(body.get("feedback"))[:MAX_FEEDBACK]
        platform.log_of(project).add(f"call {pending.call.id} feedback {feedback}")
    return {"callID": pending.call.id}


OPERATIONS: dict[str, Callable[[Platform, Body], Awaitable[Body]]] = {
    "/banana/api/task/start/v1": _start,
    "/banana/api/task/check/v1": _check,
    "/banana/feedback/v2": _feedback,
}


async def _call(platform: Platform, key: Any, id: Any, field: str) -> PendingCall:
    """Return the call of that id. Raises Unauthorized, NotFound."""
    if key is not None:
        _check_key(platform, key)
    pending = await platform.dispatcher.find(_text(field, id))
    if pending is None:
        raise NotFound(f"there is no call {str(id)[:100]}")
    return pending


def _check_key(platform: Platform, key: Any) -> None:
    if not isinstance(key, str) or platform.keys.find(key.strip()) is None:
        raise Unauthorized("Invalid API key" if key else "An API key is required")


def _read(outcome: CallOutcome) -> tuple[str | None, Any]:
    """Return why the task failed, or None and its output."""
    if outcome.error is not None:
        return outcome.error, None
    try:
        return None, json.loads(outcome.body)
    except (ValueError, RecursionError):
        return f"the app answered {outcome.status} without JSON", None


def _answer(body: Body, *, success: bool, message: str, data: Any) -> Body:
    created = int(time.time())
    return {
        "id": _id(body) or str(uuid.uuid4()), "message": message, "created": created, "apiVersion": VERSION,
        "success": success, "data": data,
    }  # fmt: skip


def _id(body: Body) -> str | None:
    value = body.get("id")
    return value if isinstance(value, str) and value else None


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Refused(f"{name} must be a text that is not empty")
    return value


def _object(name: str, value: Any) -> Body:
    if not isinstance(value, dict):
        raise Refused(f"{name} must be a JSON object")
    return cast("Body", value)


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON") from None
