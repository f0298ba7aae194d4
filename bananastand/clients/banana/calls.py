"""The calls of Banana.dev's own API: one function for each operation, and the flows that take several."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from ..call import Call, Flow, Raw, Retry, Session, given
from ..errors import APIRefusedError, APIStatusError
from ..waiting import POLL, wait
from .answers import Build, CheckedRun, Deployment, Project, ProjectList, StartedRun, Upload

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
    """A 400 of Banana's, not one of the app's."""
    return error.status != 400 or "no available replicas" in str(error.body)


# As Banana's own clients have it: a fifth of a second, doubled up to three, for five minutes.
RUN_URL = Retry(frozenset((400, 423, 503)), first=0.2, longest=3.0, total=300.0, when=_no_replicas)


def start_run(
    model_key: str, model_inputs: Any, *, start_only: bool | None = None, id: str | None = None
) -> Call[StartedRun]:
    """Start a run. It is held for up to a minute and answered finished if it can be, at once with `start_only`."""
    body = given(id=id, modelKey=model_key, startOnly=start_only) | {"modelInputs": model_inputs}
    return Call(StartedRun, "POST", "/start/v4", json={**body, "created": int(time.time())}, timeout=HOLD)


def check_run(call_id: str, *, long_poll: bool | None = None, id: str | None = None) -> Call[CheckedRun]:
    """How a run stands; with `long_poll` the answer waits up to 50 seconds for its end."""
    body = given(id=id, callID=call_id, longPoll=long_poll, created=int(time.time()))
    return Call(CheckedRun, "POST", "/check/v4", json=body, timeout=HOLD, idempotent=True)


def list_projects() -> Call[ProjectList]:
    """Every project of the team."""
    return Call(ProjectList, "GET", "/v1/projects")


def create_project(name: str) -> Call[Project]:
    """Create a project."""
    return Call(Project, "POST", "/v1/projects", json={"name": name})


def get_project(id: str) -> Call[Project]:
    """One project."""
    return Call(Project, "GET", f"/v1/projects/{quote(id, safe='')}")


def update_project(
    id: str,
    *,
    min_replicas: int | None = None,
    max_replicas: int | None = None,
    inference_timeout: int | None = None,
    idle_timeout: int | None = None,
) -> Call[Project]:
    """Change the settings that are named, and no others. Times in seconds."""
    body = given(
        minReplicas=min_replicas, maxReplicas=max_replicas, inferenceTimeout=inference_timeout, idleTimeout=idle_timeout
    )
    return Call(Project, "PUT", f"/v1/projects/{quote(id, safe='')}", json=body, idempotent=True)


def create_upload(id: str) -> Call[Upload]:
    """Ask where to put the archive of a project."""
    return Call(Upload, "POST", f"/v1/projects/{quote(id, safe='')}/upload", json={})


def put_upload(upload_url: str, archive: bytes) -> Call[None]:
    """Put a tar.gz where `create_upload` said. The address lies in a store elsewhere, which is told no key."""
    return Call(
        None, "PUT", upload_url, content=archive, idempotent=True, unsigned=True, read=_nothing, timeout=WHOLE_CALL
    )


def build_project(id: str, key: str) -> Call[Build]:
    """Build and deploy an archive that was put."""
    return Call(Build, "POST", f"/v1/projects/{quote(id, safe='')}/build", json={"key": key})


def warmup_project(project: str, *, request_id: str | None = None) -> Call[Any]:
    """Have a replica started, without a run."""
    return _run_url(project, "_k/warmup", {}, request_id)


def call_project(project: str, route: str = "", inputs: Any = None, *, request_id: str | None = None) -> Call[Any]:
    """Call a handler of a project's app; the answer is the app's JSON.

    Tried again for five minutes while no replica is free (400), the app is busy (423) or Banana is not there (503),
    always with the same `request_id`, a uuid.
    """
    return _run_url(project, route, {} if inputs is None else inputs, request_id)


def _run_url(project: str, route: str, body: Any, request_id: str | None) -> Call[Any]:
    path = f"/run/{quote(project, safe='')}/{quote(route.lstrip('/'))}"
    headers = {"X-Banana-Request-Id": request_id or str(uuid4())}
    return Call(Any, "POST", path, json=body, headers=headers, retry=RUN_URL, timeout=WHOLE_CALL)


def _nothing(raw: Raw) -> None:
    return None


def wait_for_run(
    session: Session,
    call_id: str,
    *,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[CheckedRun], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[CheckedRun]:
    """Check a run every `poll` seconds until it is finished.

    Raises APIRefusedError if it failed, DeadlineExceeded after `deadline` seconds, CallCancelled once `cancelled` is
    true.
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
    session: Session,
    model_key: str,
    model_inputs: Any,
    *,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[CheckedRun], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[StartedRun | CheckedRun]:
    """Start a run and see it to its end, however long it takes. Raises as `wait_for_run` does."""
    started = yield from session.send(start_run(model_key, model_inputs))
    if started.finished:
        return started
    if not started.call_id:
        raise APIRefusedError("neither finished nor to be checked", request="POST /start/v4", body=started.model_dump())
    return (
        yield from wait_for_run(
            session, started.call_id, poll=poll, deadline=deadline, on_check=on_check, cancelled=cancelled
        )
    )


def deploy(
    session: Session, archive: bytes, *, name: str | None = None, project: str | None = None
) -> Flow[Deployment]:
    """Upload a tar.gz to a project, or to a new one called `name`, and have it built and deployed."""
    if (name is None) == (project is None):
        raise ValueError("name a new project or give the id of one that is there")
    found = yield from session.send(create_project(name) if name is not None else get_project(project or ""))
    upload = yield from session.send(create_upload(found.id))
    yield from session.send(put_upload(upload.upload_url, archive))
    build = yield from session.send(build_project(found.id, upload.key))
    return Deployment(project=found, build=build)
