"""The calls of Banana.dev behind LowCodeAPI: one function for each operation, and the flows that take several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..call import Call, Flow, Raw, Session, given
from ..errors import APIRefusedError
from ..waiting import POLL, wait
from .answers import (
    Account,
    CheckedRun,
    Deployed,
    ModelDetail,
    ModelList,
    StartedRun,
    Usage,
)

__all__ = [
    "check_run",
    "deploy_model",
    "get_account",
    "get_base",
    "get_model",
    "get_usage",
    "list_models",
    "run",
    "run_and_wait",
    "start_run",
    "wait_for_run",
]


def get_base() -> Call[str]:
    """Where the base URL redirects to."""
    return Call(str, "GET", "/", read=_location, unsigned=True, redirect=True)


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
    if (location := raw.headers.get("location")) is None:
        raise ValueError("it redirects nowhere")
    return location


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

    Raises APIRefusedError if it failed, DeadlineExceeded after `deadline` seconds, CallCancelled once `cancelled` is
    true.
    """
    return wait(
        session,
        check_run(id, model_key),
        lambda run: run.finished,
        lambda run: f"run {id} is not finished",
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
    started = yield from session.send(run(model_key, model_inputs))
    if started.finished:
        return started
    if not started.call_id:
        raise APIRefusedError("neither finished nor to be checked", request="POST /v1/run", body=started.model_dump())
    return (
        yield from wait_for_run(
            session, started.call_id, model_key, poll=poll, deadline=deadline, on_check=on_check, cancelled=cancelled
        )
    )
