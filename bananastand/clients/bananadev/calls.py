"""The calls of Banana.dev behind LowCodeAPI: one function for each operation. A:22 is line 22 of its document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import APIRefusedError
from ..request import ClientRequest, without_none
from ..response import RawResponse
from ..session import ClientSession, Flow
from ..waiting import POLL, wait
from .models import (
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


def get_base() -> ClientRequest[str]:
    """Return the URL that the base URL redirects to; needs no key.

    Source: A:154-167.
    """
    return ClientRequest(str, "GET", "/", read=_location, unsigned=True, redirect=True)


def start_run(model_key: str, model_inputs: Any, *, start_only: bool | None = None) -> ClientRequest[StartedRun]:
    """Start a run; the response comes when it is finished, or after a minute.

    Source: A:22-38.

    Args:
        model_key: Key of a model.
        model_inputs: Any JSON; the model receives it as it is.
        start_only: Return at once, unfinished.

    Returns:
        The run; `call_id` checks one that is not finished.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no model of that name or id.
        TaskFailed: The run failed: status 200 and an error in the message.
    """
    body = without_none(modelKey=model_key, startOnly=start_only) | {"modelInputs": model_inputs}
    return ClientRequest(StartedRun, "POST", "/v1/start", json=body)


def check_run(id: str, model_key: str) -> ClientRequest[CheckedRun]:
    """Return the state of a run.

    Source: A:40-55.

    Args:
        id: `id` or `call_id` of its start.
        model_key: Key of a model.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no model of that name or id.
        TaskFailed: The run failed: status 200 and an error in the message.
    """
    return ClientRequest(CheckedRun, "POST", "/v1/check", json={"id": id, "modelKey": model_key}, idempotent=True)


def run(model_key: str, model_inputs: Any) -> ClientRequest[StartedRun]:
    """Start a run and wait for it on the server.

    Source: A:57-72.

    Args:
        model_key: Key of a model.
        model_inputs: Any JSON; the model receives it as it is.

    Returns:
        The run; one that outlasts the server's wait is unfinished and can be checked.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no model of that name or id.
        TaskFailed: The run failed: status 200 and an error in the message.
    """
    return ClientRequest(StartedRun, "POST", "/v1/run", json={"modelKey": model_key, "modelInputs": model_inputs})


def list_models() -> ClientRequest[ModelList]:
    """Return all models of the account.

    Source: A:75-86.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(ModelList, "GET", "/v1/models")


def get_model(model_key: str) -> ClientRequest[ModelDetail]:
    """Return one model and its deployments, newest first.

    Source: A:88-102.

    Args:
        model_key: Key of a model.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no model of that name or id.
    """
    return ClientRequest(ModelDetail, "GET", "/v1/models/model_key", {"model_key": model_key})


def get_account() -> ClientRequest[Account]:
    """Return the account, its plan and its limits.

    Source: A:105-116.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(Account, "GET", "/v1/account")


def get_usage(*, start_date: str | None = None, end_date: str | None = None) -> ClientRequest[Usage]:
    """Return runs and compute seconds of a period.

    Source: A:118-132.

    Args:
        start_date: First day or moment, ISO 8601; 30 days ago by default.
        end_date: Last day or moment, ISO 8601, included; today by default.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(Usage, "GET", "/v1/usage", {"startDate": start_date, "endDate": end_date})


def deploy_model(model_key: str, source: str, *, environment: dict[str, Any] | None = None) -> ClientRequest[Deployed]:
    """Deploy a model from a source.

    Source: A:135-151.

    Args:
        model_key: Key of a model.
        source: URL of a GitHub repository, or a container image.
        environment: Environment variables of the deployment.

    Returns:
        The deployment; its progress shows in the model's deployments.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(modelKey=model_key, source=source, environment=environment)
    return ClientRequest(Deployed, "POST", "/v1/deploy", json=body)


def _location(raw: RawResponse) -> str:
    if (location := raw.headers.get("location")) is None:
        raise ValueError("it redirects nowhere")
    return location


def wait_for_run(
    session: ClientSession,
    id: str,
    model_key: str,
    *,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[CheckedRun], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[CheckedRun]:
    """Check a run until it is finished.

    Source: A:40-55.

    Args:
        session: The client's session; a client passes its own.
        id: `id` or `call_id` of its start.
        model_key: Key of a model.
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
        check_run(id, model_key),
        lambda run: run.finished,
        lambda run: f"run {id} is not finished",
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

    Source: A:57-72.

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
    started = yield from session.send(run(model_key, model_inputs))
    if started.has_outputs:
        return started
    if not started.call_id:
        raise APIRefusedError("neither finished nor to be checked", request="POST /v1/run", body=started.model_dump())
    return (
        yield from wait_for_run(
            session, started.call_id, model_key, poll=poll, deadline=deadline, on_check=on_check, cancelled=cancelled
        )
    )
