"""Banana's first API, `api/task/start/v1` and `api/task/check/v1`, and `feedback/v2`, as calls of its queue.

banana-dev 0.0.2 to 0.1.0, 2.0.0 and 2.0.1 send them, and npm's 3.0.0 the feedback. What they ask is put to start/v2 and
check/v2 of the same mock, so that keys, faults, limits and the journal hold for them as well.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..kernel.http_handler import HttpHandler

__all__ = ["TaskApi"]

START, CHECK, FEEDBACK = "/api/task/start/v1", "/api/task/check/v1", "/feedback/v2"
STATUSES = {"An API key is required": 401, "Invalid API key": 401, "Model not found": 404, "Run not found": 404}

Body = dict[str, Any]


class TaskApi:
    """An ASGI application for the three addresses.

    Args:
        queue: Serves the queue.
    """

    def __init__(self, queue: HttpHandler) -> None:
        self._queue = queue

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"].removeprefix(request.scope.get("root_path", "")).rstrip("/")
        try:
            body = json.loads(await request.body())
            data = body["data"] if path != FEEDBACK else body
            about = {name: body[name] for name in ("id", "created", "longPoll") if name in body}
            if "apiKey" in data:
                about["apiKey"] = data["apiKey"]
            if path == START:
                about |= {"modelKey": data["modelKey"], "modelInputs": data["modelParameters"]}
            else:
                about["callID"] = data["callID" if path == FEEDBACK else "taskID"]
        except (ValueError, KeyError, TypeError) as error:
            return JSONResponse({"success": False, "message": f"the body is not what {path} takes: {error!r}"}, 400)
        status, run = await self._ask(request, "/start/v2" if path == START else "/check/v2", about)
        if "apiVersion" not in run:
            return JSONResponse(run, status)
        return _shaped(path, about, run)

    async def _ask(self, request: Request, path: str, body: Body) -> tuple[int, Body]:
        """Status and JSON of a call of the queue."""
        content, sent = json.dumps(body).encode(), list[Any]()
        headers = [pair for pair in request.scope["headers"] if pair[0] not in (b"content-length", b"content-type")]
        headers += [(b"content-length", str(len(content)).encode()), (b"content-type", b"application/json")]
        scope = {**request.scope, "path": request.scope.get("root_path", "") + path, "headers": headers}

        async def receive() -> Any:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._queue(scope, receive, send)
        return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


def _shaped(path: str, about: Body, run: Body) -> Response:
    """The queue's answer in the form of the first API."""
    shaped = {name: run[name] for name in ("id", "created", "apiVersion")}
    error = run["message"].removeprefix("error: ") if run["message"].startswith("error: ") else None
    if error in STATUSES and path != FEEDBACK:
        return JSONResponse({**shaped, "message": error, "success": False, "data": None}, STATUSES[error])
    shaped |= {"message": run["message"] if error else "success", "success": error is None}
    if path == FEEDBACK:
        return JSONResponse({**shaped, "callID": about["callID"]})
    if path == START:
        return JSONResponse({**shaped, "data": {"taskID": run["callID"]}})
    ended = {"running": "Running", "success": "Done"}.get(run["message"], "Failed")
    output = run["modelOutputs"][0] if run["modelOutputs"] else None
    return JSONResponse({**shaped, "data": {"taskID": about["callID"], "taskStatus": ended, "taskOut": output}})
