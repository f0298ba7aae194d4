"""Tasks of PaperBanana: check, wait for, and save their pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from ...errors import TaskFailed
from ...request import ClientRequest, without_none
from ...response import media_reader
from ...session import ClientSession, Flow
from ...waiting import POLL, wait
from ..models import (
    Format,
    Submitted,
    Task,
)

__all__ = ["get_task", "get_task_image", "run_and_wait", "save", "wait_for_task"]


def get_task(task_id: str) -> ClientRequest[Task]:
    """Return a task's state and, once it is completed, its picture.

    Source: D:619-678.

    Args:
        task_id: Id of a task.

    Raises:
        NotFoundError: 404: there is no task of that name or id.
        AuthenticationError: 401: the key is unknown or revoked.
        PermissionDeniedError: 403: the key's quota is used up, or it is inactive.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(Task, "GET", f"/api/tasks/{quote(task_id, safe='')}")


def get_task_image(task_id: str, *, format: Format | None = None) -> ClientRequest[bytes]:
    """Return the picture of a completed task as a file.

    Source: D:680-713.

    Args:
        task_id: Id of a completed task.
        format: png by default; svg and pdf where the task made them.

    Returns:
        The file's bytes.

    Raises:
        NotFoundError: 404: there is no task, or no picture yet, of that name or id.
        AuthenticationError: 401: the key is unknown or revoked.
        PermissionDeniedError: 403: the key's quota is used up, or it is inactive.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    path = f"/api/tasks/{quote(task_id, safe='')}/image"
    return ClientRequest(
        bytes, "GET", path, without_none(format=format), read=media_reader("image/", "application/pdf")
    )


def wait_for_task(
    session: ClientSession,
    task_id: str,
    *,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[Task], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[Task]:
    """Check a task until it is completed.

    Source: D:619-678.

    Args:
        session: The client's session; a client passes its own.
        task_id: Id of a task.
        poll: Seconds between two checks, from 0; 3 to 5 are good.
        deadline: Seconds after which waiting ends, from 0.
        on_check: Called with each checked state.
        cancelled: Returns true once waiting is to end; asked at least ten times a second.

    Returns:
        The completed task.

    Raises:
        TaskFailed: The task failed.
        DeadlineExceeded: The deadline is over; the work may go on.
        CallCancelled: `cancelled` returned true.
    """
    task = yield from wait(
        session,
        get_task(task_id),
        lambda task: task.status in ("completed", "failed"),
        lambda task: f"task {task_id} is {task.status if task else 'not seen'}",
        poll=poll,
        deadline=deadline,
        on_check=on_check,
        cancelled=cancelled,
    )
    if task.status == "failed":
        raise TaskFailed(task.error or "failed", task)
    return task


def run_and_wait(
    session: ClientSession,
    submission: ClientRequest[Submitted],
    *,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[Task], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[Task]:
    """Submit a task and wait until it is completed.

    Args:
        session: The client's session; a client passes its own.
        submission: A request of this module, such as `calls.create_plot(...)`.
        poll: Seconds between two checks, from 0; 3 to 5 are good.
        deadline: Seconds after which waiting ends, from 0.
        on_check: Called with each checked state.
        cancelled: Returns true once waiting is to end; asked at least ten times a second.

    Returns:
        The completed task.

    Raises:
        TaskFailed: The task failed.
        DeadlineExceeded: The deadline is over; the work may go on.
        CallCancelled: `cancelled` returned true.
    """
    submitted = yield from session.send(submission)
    return (
        yield from wait_for_task(
            session, submitted.task_id, poll=poll, deadline=deadline, on_check=on_check, cancelled=cancelled
        )
    )


def save(session: ClientSession, task_id: str, path: str | Path, *, format: Format | None = None) -> Flow[Path]:
    """Write the picture of a completed task to a file.

    Source: D:680-713.

    Args:
        session: The client's session; a client passes its own.
        task_id: Id of a completed task.
        path: File to write; its suffix chooses the format.
        format: Format, whatever the suffix says.

    Returns:
        The path written.

    Raises:
        NotFoundError: 404: there is no task, or no picture yet, of that name or id.
        AuthenticationError: 401: the key is unknown or revoked.
        PermissionDeniedError: 403: the key's quota is used up, or it is inactive.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    target = Path(path)
    named: Format | None = {".svg": "svg", ".pdf": "pdf", ".png": "png"}.get(target.suffix.lower())  # type: ignore[assignment]
    content = yield from session.send(get_task_image(task_id, format=format or named))
    target.write_bytes(content)
    return target
