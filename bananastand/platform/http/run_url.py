"""A project's run URL, with Banana's API key, statuses and error texts.

Banana's SDKs retry 400, 423 and 503 for up to five minutes, and raise all other statuses at once.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from ..errors import PlatformError, Refused, TooBusy
from ..platform import Platform
from ..replicas.client import ReplicaRequest
from ..scheduling import outcomes
from ..scheduling.pending_call import PendingCall
from ..store.bodies import FileBody
from ..store.projects import Project
from .headers import CALL_ID, app_target
from .proxy import answer_of, is_safe, receive_body, request_id_of, submit

__all__ = ["MARGIN", "RUN", "find_project", "late_message", "refusal", "serve_run_url"]

RUN = re.compile(rb"/banana/run/([^/]+)(/.*)?", re.DOTALL)  # of a path as it was sent
MARGIN = 5.0  # seconds beyond the inference timeout that a caller waits
NO_REPLICAS = "You have no available replicas to process this request"
TEXT = "text/plain; charset=utf-8"


async def serve_run_url(platform: Platform, slug: bytes, path: bytes, request: Request) -> Response:
    """Return what the app answers on a path of its run URL; the platform's refusals are three indented lines of text.

    Args:
        platform: The platform.
        slug: The project's name, as it was sent.
        path: The path behind the slug, percent-encoded.
        request: The caller's request.
    """
    project = find_project(platform, slug, request)
    if isinstance(project, Response):
        return project
    try:
        target = app_target(path, request.scope["query_string"])
        async with receive_body(platform, project, request) as body:
            if await _is_full(platform, project, target, request, body):
                return refusal(400, NO_REPLICAS)
            pending = await submit(platform, project, target, request, body)
    except TooBusy as error:
        busy = refusal(error.status, str(error))
        busy.headers["retry-after"] = str(error.retry_after)
        return busy
    except Refused as error:
        return refusal(error.status, str(error))
    except PlatformError as error:
        return refusal(503, str(error))
    return await _answer(platform, project, pending, request)


def find_project(platform: Platform, slug: bytes, request: HTTPConnection) -> Project | Response:
    """Return the project of a run URL if the request has a valid API key; else the refusal."""
    key = request.headers.get("x-banana-api-key", "")
    if platform.keys.find(key) is None:
        return refusal(401, "Invalid API key" if key else "An API key is required")
    return platform.projects.find(unquote(slug.decode("latin-1"))) or refusal(404, "Project not found")


def refusal(status: int, message: str, kind: str | None = None) -> Response:
    """Return an error in the form that Banana's documentation shows."""
    kind = kind or ("UserError" if status < 500 else "BananaError")
    text = f"An error occured.\n    Type: {kind}\n    StatusCode: {status}\n    Message: {message}\n"
    return Response(text, status, media_type=TEXT)


async def _is_full(platform: Platform, project: Project, target: str, request: Request, body: bytes | FileBody) -> bool:
    """Return whether Banana would have refused the call, so that its SDK retries. Requests that only read wait."""
    if is_safe(request.method) or not platform.at_limit(project):
        return False
    call = ReplicaRequest(request.method, target, (), body)
    return not await platform.dispatcher.is_repeat(project, call, request_id_of(request))


async def _answer(platform: Platform, project: Project, pending: PendingCall, request: Request) -> Response:
    try:
        answer = await answer_of(platform, pending, request, project.inference_timeout + MARGIN)
    except TimeoutError:
        return await _late(platform, project, pending)
    if answer is None:
        answer = refusal(503, pending.release_reason or outcomes.stopping(pending.call.id))
    elif pending.done.done() and not (outcome := pending.done.result()).from_app:
        kind = "PotassiumError" if outcome.status == 500 else None
        answer = refusal(outcome.status, outcome.error or "", kind)
    answer.headers[CALL_ID] = pending.call.id
    return answer


async def _late(platform: Platform, project: Project, pending: PendingCall) -> Response:
    """Return the error for a call without an answer in time. An SDK retries after the first, not the second."""
    if (building := late_message(platform, project)) is not None:
        return refusal(503, building)
    await platform.dispatcher.cancel(pending.call.id)
    return refusal(504, "Gateway timeout")


def late_message(platform: Platform, project: Project) -> str | None:
    """Return what a caller is answered who has waited too long for a first build; None if there is a version."""
    now = platform.projects.get(project.id)
    if now is not None and now.live is None:
        return f"{project.name} has no live version yet, its first build is under way: call again later"
    return None
