"""Banana.dev behind LowCodeAPI: the calls of its document, and a client of each kind.

>>> with BananaDev() as banana:  # LOWCODEAPI_TOKEN
...     run = banana.run_and_wait("value", {"prompt": "a ripe banana"})
...     print(run.model_outputs)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from .call import Call, CamelAnswer, Flow, Pause, Raw, Session, given
from .client import AsyncClient, Client, aflow, amethod, flow, method
from .errors import APIRefusedError, CallCancelled, DeadlineExceeded, TaskFailed
from .lowcodeapi import LowCodeAPI

__all__ = [
    "Account",
    "AsyncBananaDev",
    "BananaDev",
    "CheckedRun",
    "Deployed",
    "Deployment",
    "Model",
    "ModelDetail",
    "ModelList",
    "StartedRun",
    "Usage",
]

Status = Literal["queued", "building", "deploying", "live", "failed"]

POLL = 4.0  # seconds between two looks at a run


class StartedRun(CamelAnswer):
    """A run as it was started. `call_id` is what to check it by, empty once it is finished."""

    id: str
    message: str
    created: int  # seconds since 1970
    api_version: str
    call_id: str = Field(alias="callID")
    finished: bool
    model_outputs: list[Any] | None


class CheckedRun(CamelAnswer):
    """A run as it stands. `message` is running or success; anything with "error" in it is a failure."""

    id: str
    message: str
    created: int
    api_version: str
    model_outputs: list[Any] | None

    @property
    def finished(self) -> bool:
        return self.model_outputs is not None


class Deployment(CamelAnswer):
    """One version of a model, on its way or live."""

    deployment_id: str
    status: Status
    source: str
    environment: dict[str, Any]
    created_at: str
    finished_at: str | None = None
    message: str | None = None


class Model(CamelAnswer):
    """A model; times in seconds."""

    id: str
    team_id: str
    min_replicas: int
    max_replicas: int
    inference_timeout: int
    idle_timeout: int
    model_key: str
    name: str
    status: Status
    url: str
    created_at: str
    deployment: Deployment | None


class ModelDetail(Model):
    """A model with all its deployments, newest first."""

    deployments: list[Deployment]


class ModelList(CamelAnswer):
    models: list[Model]


class Limits(CamelAnswer):
    max_replicas: int
    concurrent_builds: int


class Account(CamelAnswer):
    id: str
    team_id: str
    team_name: str
    email: str
    plan: str
    created_at: str
    api_keys: int
    limits: Limits


class Sums(CamelAnswer):
    """What ran; compute time in seconds."""

    runs: int
    succeeded: int
    failed: int
    compute_seconds: float


class Summary(Sums):
    cold_starts: int


class Day(Sums):
    date: str


class ModelUsage(CamelAnswer):
    model_key: str
    runs: int
    compute_seconds: float


class Usage(CamelAnswer):
    """Both days included."""

    start_date: str
    end_date: str
    summary: Summary
    daily: list[Day]
    models: list[ModelUsage]


class Deployed(CamelAnswer):
    model_key: str
    deployment_id: str
    status: Status
    created_at: str


# The calls -------------------------------------------------------------------------------------------------------


def get_base() -> Call[str]:
    """Where the base URL redirects to."""
    return Call(str, "GET", "/", read=_location)


def start_run(model_key: str, model_inputs: Any, *, start_only: bool | None = None) -> Call[StartedRun]:
    """Start a run. It is held for up to a minute and answered finished if it can be, at once with `start_only`."""
    body = given(modelKey=model_key, startOnly=start_only) | {"modelInputs": model_inputs}
    return Call(StartedRun, "POST", "/v1/start", json=body)


def check_run(id: str, model_key: str) -> Call[CheckedRun]:
    """How a run stands; `id` is the id or the call_id that its start answered with."""
    return Call(CheckedRun, "POST", "/v1/check", json={"id": id, "modelKey": model_key}, idempotent=True)


def run(model_key: str, model_inputs: Any) -> Call[StartedRun]:
    """Start a run and wait for it; one that outlasts the wait comes back unfinished, to be checked."""
    return Call(StartedRun, "POST", "/v1/run", json={"modelKey": model_key, "modelInputs": model_inputs})


def list_models() -> Call[ModelList]:
    """Your models."""
    return Call(ModelList, "GET", "/v1/models")


def get_model(model_key: str) -> Call[ModelDetail]:
    """One model and its deployments."""
    return Call(ModelDetail, "GET", "/v1/models/model_key", {"model_key": model_key})


def get_account() -> Call[Account]:
    """Your account."""
    return Call(Account, "GET", "/v1/account")


def get_usage(*, start_date: str | None = None, end_date: str | None = None) -> Call[Usage]:
    """What was run between two days (ISO 8601), both included; by default the last 30."""
    return Call(Usage, "GET", "/v1/usage", {"startDate": start_date, "endDate": end_date})


def deploy_model(model_key: str, source: str, *, environment: dict[str, Any] | None = None) -> Call[Deployed]:
    """Deploy a model from a source; what becomes of it stands in the model's deployments."""
    body = given(modelKey=model_key, source=source, environment=environment)
    return Call(Deployed, "POST", "/v1/deploy", json=body)


def _location(raw: Raw) -> str:
    return raw.headers["location"]


# The flows -------------------------------------------------------------------------------------------------------


def wait_for_run(
    session: Session,
    id: str,
    model_key: str,
    *,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[CheckedRun], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[CheckedRun]:
    """Check a run every `poll` seconds until it is finished.

    Raises TaskFailed if it failed, DeadlineExceeded after `deadline` seconds, CallCancelled once `cancelled` is true.
    """
    until = time.monotonic() + deadline
    while True:
        checked = yield from session.send(check_run(id, model_key))
        if on_check is not None:
            on_check(checked)
        if "error" in checked.message.lower():
            raise TaskFailed(checked.message, checked)
        if checked.finished:
            return checked
        if time.monotonic() + poll > until:
            raise DeadlineExceeded(f"run {id} was not finished after {deadline:g} s", checked)
        yield Pause(poll, cancelled)
        if cancelled is not None and cancelled():
            raise CallCancelled(f"run {id} is no longer waited for")


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
    started = yield from session.send(run(model_key, model_inputs))
    if "error" in started.message.lower():
        raise TaskFailed(started.message, started)
    if started.finished:
        return started
    if not started.call_id:
        raise APIRefusedError("neither finished nor to be checked", request="POST /v1/run", body=started.model_dump())
    return (
        yield from wait_for_run(
            session, started.call_id, model_key, poll=poll, deadline=deadline, on_check=on_check, cancelled=cancelled
        )
    )


# The clients -----------------------------------------------------------------------------------------------------

PROVIDER = LowCodeAPI("bananadev")


class BananaDev(Client):
    """Banana.dev behind LowCodeAPI. The key is LowCodeAPI's api_token, else LOWCODEAPI_TOKEN."""

    provider = PROVIDER
    get_base = method(get_base)
    start_run = method(start_run)
    check_run = method(check_run)
    run = method(run)
    list_models = method(list_models)
    get_model = method(get_model)
    get_account = method(get_account)
    get_usage = method(get_usage)
    deploy_model = method(deploy_model)
    wait_for_run = flow(wait_for_run)
    run_and_wait = flow(run_and_wait)


class AsyncBananaDev(AsyncClient):
    """The same for asyncio."""

    provider = PROVIDER
    get_base = amethod(get_base)
    start_run = amethod(start_run)
    check_run = amethod(check_run)
    run = amethod(run)
    list_models = amethod(list_models)
    get_model = amethod(get_model)
    get_account = amethod(get_account)
    get_usage = amethod(get_usage)
    deploy_model = amethod(deploy_model)
    wait_for_run = aflow(wait_for_run)
    run_and_wait = aflow(run_and_wait)
