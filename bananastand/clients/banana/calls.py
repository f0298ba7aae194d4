"""The calls of Banana.dev's own API: one function for each operation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from ..errors import APIRefusedError, APIStatusError
from ..request import ClientRequest, RetryTable, without_none
from ..response import RawResponse
from ..session import ClientSession, Flow
from ..waiting import POLL, wait
from .models import Build, CheckedRun, Deployment, Project, ProjectList, StartedRun, Upload

__all__ = [
    "build_project",
    "call_project",
    "check_run",
    "create_project",
    "create_upload",
    "deploy",
    "get_project",
    "list_projects",
    "put_upload",
    "run_and_wait",
    "start_run",
    "update_project",
    "wait_for_run",
    "warmup_project",
]

HOLD = 70.0  # seconds; start and a long poll are held for up to a minute
WHOLE_CALL = 320.0  # seconds; a call on a run URL may take five minutes


def _no_replicas(error: APIStatusError) -> bool:
    """Tell Banana's own 400 from one of the app's."""
    return error.status != 400 or "no available replicas" in str(error.body)


# As Banana's own clients have it: a fifth of a second, doubled up to three, for five minutes.
RUN_URL = RetryTable(frozenset((400, 423, 503)), first=0.2, longest=3.0, total=300.0, when=_no_replicas)


def start_run(
    model_key: str, model_inputs: Any, *, start_only: bool | None = None, id: str | None = None
) -> ClientRequest[StartedRun]:
    """Start a run; the response comes when it is finished, or after a minute.

    Source: docs.banana.dev, REST API; banana-dev 4.0.2.

    Args:
        model_key: Key of a model.
        model_inputs: Any JSON; the model receives it as it is.
        start_only: Return at once, unfinished.
        id: Id of this request.

    Returns:
        The run; `call_id` checks one that is not finished.

    Raises:
        TaskFailed: The run failed: status 200 and an error in the message.
    """
    body = without_none(id=id, modelKey=model_key, startOnly=start_only) | {"modelInputs": model_inputs}
    return ClientRequest(StartedRun, "POST", "/start/v4", json={**body, "created": int(time.time())}, timeout=HOLD)


def check_run(call_id: str, *, long_poll: bool | None = None, id: str | None = None) -> ClientRequest[CheckedRun]:
    """Return the state of a run.

    Source: docs.banana.dev, REST API; banana-dev 4.0.2.

    Args:
        call_id: `call_id` of its start.
        long_poll: Hold the response for up to 50 seconds until the run is finished.
        id: Id of this request.

    Raises:
        TaskFailed: The run failed: status 200 and an error in the message.
    """
    body = without_none(id=id, callID=call_id, longPoll=long_poll, created=int(time.time()))
    return ClientRequest(CheckedRun, "POST", "/check/v4", json=body, timeout=HOLD, idempotent=True)


def list_projects() -> ClientRequest[ProjectList]:
    """Return all projects of the team.

    Source: docs.api.banana.dev, projects; banana-dev 6.3.0.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(ProjectList, "GET", "/v1/projects")


def create_project(name: str) -> ClientRequest[Project]:
    """Create a project.

    Source: banana-cli 0.1.2.

    Args:
        name: At least one character.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(Project, "POST", "/v1/projects", json={"name": name})


def get_project(id: str) -> ClientRequest[Project]:
    """Return one project.

    Source: docs.api.banana.dev, projects; banana-dev 6.3.0.

    Args:
        id: Id of a project.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no project of that name or id.
    """
    return ClientRequest(Project, "GET", f"/v1/projects/{quote(id, safe='')}")


def update_project(
    id: str,
    *,
    min_replicas: int | None = None,
    max_replicas: int | None = None,
    inference_timeout: int | None = None,
    idle_timeout: int | None = None,
) -> ClientRequest[Project]:
    """Change the passed settings of a project.

    Source: docs.api.banana.dev, projects; banana-dev 6.3.0.

    Args:
        id: Id of a project.
        min_replicas: Replicas that always run, from 0.
        max_replicas: Most replicas, from 0.
        inference_timeout: Seconds for one call, from 0.
        idle_timeout: Seconds without calls after which a replica stops, from 0.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no project of that name or id.
    """
    body = without_none(
        minReplicas=min_replicas, maxReplicas=max_replicas, inferenceTimeout=inference_timeout, idleTimeout=idle_timeout
    )
    return ClientRequest(Project, "PUT", f"/v1/projects/{quote(id, safe='')}", json=body, idempotent=True)


def create_upload(id: str) -> ClientRequest[Upload]:
    """Return where to upload a project's archive.

    Source: banana-cli 0.1.2.

    Args:
        id: Id of a project.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no project of that name or id.
    """
    return ClientRequest(Upload, "POST", f"/v1/projects/{quote(id, safe='')}/upload", json={})


def put_upload(upload_url: str, archive: bytes) -> ClientRequest[None]:
    """Upload a tar.gz to the URL of `create_upload`, without a key.

    Source: banana-cli 0.1.2.

    Args:
        upload_url: URL in a store elsewhere.
        archive: Bytes of a tar.gz.

    Raises:
        PermissionDeniedError: 403: the URL is out of date.
        PayloadTooLargeError: 413: the archive is too large.
    """
    return ClientRequest(
        None, "PUT", upload_url, content=archive, idempotent=True, unsigned=True, read=_ignore, timeout=WHOLE_CALL
    )


def build_project(id: str, key: str) -> ClientRequest[Build]:
    """Build and deploy an uploaded archive.

    Source: banana-cli 0.1.2.

    Args:
        id: Id of a project.
        key: Key of the upload.

    Returns:
        The build; its id names its log.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no project of that name or id.
    """
    return ClientRequest(Build, "POST", f"/v1/projects/{quote(id, safe='')}/build", json={"key": key})


def warmup_project(project: str, *, request_id: str | None = None) -> ClientRequest[Any]:
    """Start a replica without a run.

    Source: banana-dev 6.3.0.

    Args:
        project: Name of the project, as in its run URL.
        request_id: A uuid, the same in every try of one call; a new one by default.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no project of that name or id.
    """
    return _run_url(project, "_k/warmup", {}, request_id)


def call_project(
    project: str, route: str = "", inputs: Any = None, *, request_id: str | None = None
) -> ClientRequest[Any]:
    """Call a handler of a project's app; the result is the app's JSON.

    The call is retried for five minutes while no replica is free (400), the app is busy (423) or Banana is down (503).
    Source: docs.banana.dev, inference errors; banana-dev 6.3.0.

    Args:
        project: Name of the project, as in its run URL.
        route: Route of the handler.
        inputs: Any JSON; an empty object by default.
        request_id: A uuid, the same in every try of one call; a new one by default.

    Raises:
        BusyError: 423: the app was busy for five minutes.
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no project of that name or id.
        TeapotError: 418: Banana's own refusal.
    """
    return _run_url(project, route, {} if inputs is None else inputs, request_id)


def _run_url(project: str, route: str, body: Any, request_id: str | None) -> ClientRequest[Any]:
    path = f"/run/{quote(project, safe='')}/{quote(route.lstrip('/'))}"
    headers = {"X-Banana-Request-Id": request_id or str(uuid4())}
    return ClientRequest(Any, "POST", path, json=body, headers=headers, retry=RUN_URL, timeout=WHOLE_CALL)


def _ignore(raw: RawResponse) -> None:
    return None


def wait_for_run(
    session: ClientSession,
    call_id: str,
    *,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[CheckedRun], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[CheckedRun]:
    """Check a run until it is finished.

    Source: docs.banana.dev, REST API; banana-dev 4.0.2.

    Args:
        session: The client's session; a client passes its own.
        call_id: `call_id` of its start.
        poll: Seconds between two checks, from 0; 3 to 5 are good.
        deadline: Seconds after which waiting ends, from 0.
        on_check: Called with each checked state.
        cancelled: Returns true once waiting is to end; asked at least ten times a second.

    Returns:
        The finished run.

    Raises:
        TaskFailed: The run failed.
        DeadlineExceeded: The deadline is over; the work may go on.
        CallCancelled: `cancelled` returned true.
    """
    return wait(
        session,
        check_run(call_id),
        lambda run: run.finished,
        lambda run: f"run {call_id} is not finished",
        poll=poll,
        deadline=deadline,
        on_check=on_check,
        cancelled=cancelled,
    )


def run_and_wait(
    session: ClientSession,
    model_key: str,
    model_inputs: Any,
    *,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[CheckedRun], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[StartedRun | CheckedRun]:
    """Start a run and wait until it is finished, however long it takes.

    Source: docs.banana.dev, REST API; banana-dev 4.0.2.

    Args:
        session: The client's session; a client passes its own.
        model_key: Key of a model.
        model_inputs: Any JSON; the model receives it as it is.
        poll: Seconds between two checks, from 0; 3 to 5 are good.
        deadline: Seconds after which waiting ends, from 0.
        on_check: Called with each checked state.
        cancelled: Returns true once waiting is to end; asked at least ten times a second.

    Returns:
        The finished run.

    Raises:
        TaskFailed: The run failed.
        DeadlineExceeded: The deadline is over; the work may go on.
        CallCancelled: `cancelled` returned true.
    """
    started = yield from session.send(start_run(model_key, model_inputs))
    if started.has_outputs:
        return started
    if not started.call_id:
        raise APIRefusedError("neither finished nor to be checked", request="POST /start/v4", body=started.model_dump())
    return (
        yield from wait_for_run(
            session, started.call_id, poll=poll, deadline=deadline, on_check=on_check, cancelled=cancelled
        )
    )


def deploy(
    session: ClientSession, archive: bytes, *, name: str | None = None, project: str | None = None
) -> Flow[Deployment]:
    """Upload a tar.gz to a project and have it built and deployed.

    Source: banana-cli 0.1.2.

    Args:
        session: The client's session; a client passes its own.
        archive: Bytes of a tar.gz.
        name: Name of a new project.
        project: Id of an existing project, in place of `name`.

    Returns:
        The project and its build.

    Raises:
        ValueError: Neither or both of `name` and `project` were passed.
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no project of that name or id.
    """
    if (name is None) == (project is None):
        raise ValueError("name a new project or give the id of one that is there")
    found = yield from session.send(create_project(name) if name is not None else get_project(project or ""))
    upload = yield from session.send(create_upload(found.id))
    yield from session.send(put_upload(upload.upload_url, archive))
    build = yield from session.send(build_project(found.id, upload.key))
    return Deployment(project=found, build=build)
