"""The calls of PaperBanana: one function for each operation, and the flows that take several."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote

from ..call import Book, Call, Flow, Session, given, media
from ..errors import TaskFailed
from ..waiting import POLL, wait
from .answers import (
    AspectRatio,
    Endpoint,
    Format,
    Health,
    HistoryDetail,
    HistoryItem,
    HistoryPage,
    ImageModel,
    ImageResolution,
    Key,
    KeyDetail,
    Status,
    Submitted,
    Task,
    VlmProvider,
)

__all__ = [
    "create_composite",
    "create_diagram",
    "create_diagram_from_pdf",
    "create_key",
    "create_plot",
    "delete_key",
    "each_history_item",
    "get_health",
    "get_history",
    "get_key",
    "get_task",
    "get_task_image",
    "list_history",
    "list_keys",
    "optimize_prompt",
    "run_and_wait",
    "save",
    "update_key",
    "wait_for_task",
]


def get_health() -> Call[Health]:
    """Whether the service is there, and its version."""
    return Call(Health, "GET", "/api/health", unsigned=True)


def create_diagram(
    source_context: str,
    caption: str,
    *,
    iterations: int | None = None,
    aspect_ratio: AspectRatio | None = None,
    output_formats: Sequence[Literal["png"]] | None = None,
    vlm_provider: VlmProvider | None = None,
    vlm_model: str | None = None,
    image_model: ImageModel | None = None,
    image_resolution: ImageResolution | None = None,
    webhook_url: str | None = None,
    webhook_include_image: bool | None = None,
) -> Call[Submitted]:
    """Have a methodology figure made of a text, in 1 to 10 iterations."""
    body = given(
        source_context=source_context,
        caption=caption,
        iterations=iterations,
        aspect_ratio=aspect_ratio,
        output_formats=output_formats,
        vlm_provider=vlm_provider,
        vlm_model=vlm_model,
        image_model=image_model,
        image_resolution=image_resolution,
        webhook_url=webhook_url,
        webhook_include_image=webhook_include_image,
    )
    return _submit("generate", body)


def create_diagram_from_pdf(
    pdf: bytes | str,
    caption: str,
    *,
    pages: str | None = None,
    iterations: int | None = None,
    aspect_ratio: AspectRatio | None = None,
    output_formats: Sequence[Literal["png"]] | None = None,
    vlm_provider: VlmProvider | None = None,
    vlm_model: str | None = None,
    image_model: ImageModel | None = None,
    image_resolution: ImageResolution | None = None,
    webhook_url: str | None = None,
    webhook_include_image: bool | None = None,
) -> Call[Submitted]:
    """Have a methodology figure made of a paper: its bytes, or base64; `pages` such as "1-3,5"."""
    body = given(
        pdf_base64=pdf if isinstance(pdf, str) else base64.b64encode(pdf).decode(),
        caption=caption,
        pages=pages,
        iterations=iterations,
        aspect_ratio=aspect_ratio,
        output_formats=output_formats,
        vlm_provider=vlm_provider,
        vlm_model=vlm_model,
        image_model=image_model,
        image_resolution=image_resolution,
        webhook_url=webhook_url,
        webhook_include_image=webhook_include_image,
    )
    return _submit("generate-from-pdf", body)


def optimize_prompt(
    description: str,
    *,
    source_context: str | None = None,
    caption: str | None = None,
    diagram_type: Literal["methodology", "statistical_plot"] | None = None,
    guidelines: str | None = None,
    vlm_provider: VlmProvider | None = None,
    vlm_model: str | None = None,
    webhook_url: str | None = None,
    webhook_include_image: bool | None = None,
) -> Call[Submitted]:
    """Have the description of a figure rewritten; the result is text."""
    body = given(
        description=description,
        source_context=source_context,
        caption=caption,
        diagram_type=diagram_type,
        guidelines=guidelines,
        vlm_provider=vlm_provider,
        vlm_model=vlm_model,
        webhook_url=webhook_url,
        webhook_include_image=webhook_include_image,
    )
    return _submit("optimize-prompt", body)


def create_plot(
    data_json: Any,
    intent: str,
    *,
    iterations: int | None = None,
    aspect_ratio: AspectRatio | None = None,
    output_formats: Sequence[Format] | None = None,
    vlm_provider: VlmProvider | None = None,
    vlm_model: str | None = None,
    webhook_url: str | None = None,
    webhook_include_image: bool | None = None,
) -> Call[Submitted]:
    """Have data plotted as the intent says. The data is JSON, as text or as what becomes it."""
    body = given(
        data_json=data_json if isinstance(data_json, str) else json.dumps(data_json, allow_nan=False),
        intent=intent,
        iterations=iterations,
        aspect_ratio=aspect_ratio,
        output_formats=output_formats,
        vlm_provider=vlm_provider,
        vlm_model=vlm_model,
        webhook_url=webhook_url,
        webhook_include_image=webhook_include_image,
    )
    return _submit("plot", body)


def create_composite(
    source_task_ids: Sequence[str],
    *,
    layout: str | None = None,
    labels: Sequence[str] | None = None,
    spacing: int | None = None,
    label_position: Literal["top", "bottom"] | None = None,
    label_font_size: int | None = None,
    webhook_url: str | None = None,
    webhook_include_image: bool | None = None,
) -> Call[Submitted]:
    """Put the pictures of completed tasks into one figure; `layout` is "auto" or rows by columns, as "2x3"."""
    body = given(
        source_task_ids=list(source_task_ids),
        layout=layout,
        labels=labels,
        spacing=spacing,
        label_position=label_position,
        label_font_size=label_font_size,
        webhook_url=webhook_url,
        webhook_include_image=webhook_include_image,
    )
    return _submit("composite", body)


def get_task(task_id: str) -> Call[Task]:
    """How a task stands."""
    return Call(Task, "GET", f"/api/tasks/{quote(task_id, safe='')}")


def get_task_image(task_id: str, *, format: Format | None = None) -> Call[bytes]:
    """The picture of a completed task as a file."""
    path = f"/api/tasks/{quote(task_id, safe='')}/image"
    return Call(bytes, "GET", path, given(format=format), read=media("image/", "application/pdf"))


def list_keys() -> Call[list[Key]]:
    """All API keys. Wants the admin key."""
    return Call(list[Key], "GET", "/api/admin/keys", admin=True)


def create_key(
    name: str, *, quota: int | None = None, webhook_url: str | None = None, webhook_secret: str | None = None
) -> Call[Key]:
    """Make an API key; it is told in full this once. Wants the admin key."""
    body = given(name=name, quota=quota, webhook_url=webhook_url, webhook_secret=webhook_secret)
    return Call(Key, "POST", "/api/admin/keys", json=body, admin=True)


def get_key(key: str) -> Call[KeyDetail]:
    """An API key and what it was used for. Wants the admin key."""
    return Call(KeyDetail, "GET", f"/api/admin/keys/{quote(key, safe='')}", admin=True)


def update_key(
    key: str,
    *,
    quota_remaining: int | None = None,
    quota_total: int | None = None,
    active: bool | None = None,
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
) -> Call[Key]:
    """Change what is given of an API key; "" takes a webhook away. Wants the admin key."""
    body = given(
        quota_remaining=quota_remaining,
        quota_total=quota_total,
        active=active,
        webhook_url=webhook_url,
        webhook_secret=webhook_secret,
    )
    return Call(Key, "PATCH", f"/api/admin/keys/{quote(key, safe='')}", json=body, idempotent=True, admin=True)


def delete_key(key: str) -> Call[None]:
    """Delete an API key. Wants the admin key."""
    return Call(None, "DELETE", f"/api/admin/keys/{quote(key, safe='')}", idempotent=True, admin=True)


def list_history(
    *,
    page: int | None = None,
    size: int | None = None,
    endpoint: Endpoint | None = None,
    status: Status | None = None,
    api_key: str | None = None,
) -> Call[HistoryPage]:
    """A page of all tasks, newest first. Wants the admin key."""
    query = given(page=page, size=size, endpoint=endpoint, status=status, api_key=api_key)
    return Call(HistoryPage, "GET", "/api/admin/history", query, admin=True)


def get_history(task_id: str) -> Call[HistoryDetail]:
    """A task with its input, its outcome and the deliveries of its webhook. Wants the admin key."""
    return Call(HistoryDetail, "GET", f"/api/admin/history/{quote(task_id, safe='')}", admin=True)


def each_history_item(
    *,
    size: int | None = None,
    endpoint: Endpoint | None = None,
    status: Status | None = None,
    api_key: str | None = None,
) -> Book[HistoryItem]:
    """All tasks, newest first, `size` to a page. Wants the admin key."""
    first = list_history(size=size, endpoint=endpoint, status=status, api_key=api_key)
    return Book(first, lambda page: page.items, _following)


def wait_for_task(
    session: Session,
    task_id: str,
    *,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[Task], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[Task]:
    """Look at a task every `poll` seconds until it is completed.

    Raises TaskFailed if it failed, DeadlineExceeded after `deadline` seconds, CallCancelled once `cancelled` is true.
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
    session: Session,
    submission: Call[Submitted],
    *,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[Task], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[Task]:
    """Submit a task, such as `calls.create_plot(...)`, and see it to its end. Raises as `wait_for_task` does."""
    submitted = yield from session.send(submission)
    return (
        yield from wait_for_task(
            session, submitted.task_id, poll=poll, deadline=deadline, on_check=on_check, cancelled=cancelled
        )
    )


def save(session: Session, task_id: str, path: str | Path, *, format: Format | None = None) -> Flow[Path]:
    """Write the picture of a completed task to a file, in the format of its name unless `format` says otherwise."""
    target = Path(path)
    named: Format | None = {".svg": "svg", ".pdf": "pdf", ".png": "png"}.get(target.suffix.lower())  # type: ignore[assignment]
    content = yield from session.send(get_task_image(task_id, format=format or named))
    target.write_bytes(content)
    return target


def _submit(endpoint: Endpoint, body: dict[str, object]) -> Call[Submitted]:
    return Call(Submitted, "POST", f"/api/{endpoint}", json=body)


def _following(call: Call[Any], page: HistoryPage) -> Call[Any] | None:
    turned = cast("int", call.query.get("page", 1))
    return replace(call, query={**call.query, "page": turned + 1}) if page.items and turned < page.pages else None
