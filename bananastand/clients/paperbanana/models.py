"""What PaperBanana returns. Times are ISO 8601.

A field is required where the document shows it in every answer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ..fields import Inferred, InferredField, InferredMap, InferredOrNull, Open
from ..response import ResponseModel

__all__ = [
    "Artifact",
    "AspectRatio",
    "DiagramType",
    "Endpoint",
    "Format",
    "Health",
    "HistoryDetail",
    "HistoryItem",
    "HistoryPage",
    "ImageModel",
    "ImageResolution",
    "Key",
    "KeyDetail",
    "Status",
    "Submitted",
    "Task",
    "UsageEntry",
    "VlmProvider",
    "WebhookEvent",
    "WebhookStatus",
]

AspectRatio = Literal["auto", "1:1", "5:4", "2:3", "3:2", "3:4", "4:5", "4:3", "9:16", "16:9", "21:9"]
VlmProvider = Literal["gemini", "openrouter", "kie", "apimart"]
ImageModel = Literal["nano-banana-pro", "google/nano-banana", "nano-banana-2", "gpt-image-2-text-to-image"]
ImageResolution = Literal["1K", "2K", "4K"]
Format = Literal["png", "svg", "pdf"]
Status = Literal["pending", "running", "completed", "failed"]
DiagramType = Literal["methodology", "statistical_plot", "prompt_optimization", "composite"]
WebhookStatus = Literal["retrying", "delivered", "failed"]
Endpoint = Literal["generate", "generate-from-pdf", "optimize-prompt", "plot", "composite"]


class Health(ResponseModel):
    """The service's status and version."""

    status: str
    version: str


class Submitted(ResponseModel):
    """A task that was taken on."""

    task_id: str
    status: Open[Status]


class Artifact(ResponseModel):
    """A file of a completed task."""

    format: Open[Format]
    media_type: Open[Literal["image/png", "image/svg+xml", "application/pdf"]]
    download_url: str


class Task(ResponseModel):
    """A task as it stands. What is not there yet is None; `image_base64` is a PNG.

    `task_id` is empty where the answer leaves it out, as the document's short ones do (D:43).
    """

    task_id: Annotated[str, InferredField(nullable=False)] = ""
    status: Open[Status]
    diagram_type: Inferred[Open[DiagramType]] = None
    image_base64: InferredOrNull[str] = None
    artifacts: InferredMap[Open[Format], Artifact] = {}
    description: InferredOrNull[str] = None
    error: InferredOrNull[str] = None


class Key(ResponseModel):
    """An API key; whole where it was just made. A quota of None is no limit."""

    key: str
    name: str
    quota_remaining: int | None
    quota_total: int | None
    total_used: int
    active: bool
    created_at: str
    webhook_url: InferredOrNull[str] = None


class UsageEntry(ResponseModel):
    """One task that a key submitted."""

    id: int
    task_id: str
    endpoint: Open[Endpoint]
    created_at: str


class KeyDetail(Key):
    """A key with what it was used for, newest first."""

    usage_log: list[UsageEntry]


class HistoryItem(ResponseModel):
    """A task as the history lists it."""

    task_id: str
    api_key: Inferred[str] = None
    key_name: Inferred[str] = None
    endpoint: Inferred[Open[Endpoint]] = None
    diagram_type: Inferred[Open[DiagramType]] = None
    status: Open[Status]
    created_at: Inferred[str] = None
    completed_at: InferredOrNull[str] = None


class HistoryPage(ResponseModel):
    """A page of the history, newest first."""

    items: list[HistoryItem]
    total: Inferred[int] = None
    page: Inferred[int] = None
    size: Inferred[int] = None
    pages: Inferred[int] = None


class HistoryDetail(HistoryItem):
    """A task with what was asked, what came of it, and how its webhook fared."""

    input_params: InferredMap[str, Any] = {}
    description: InferredOrNull[str] = None
    error: InferredOrNull[str] = None
    image_path: InferredOrNull[str] = None
    image_base64: InferredOrNull[str] = None
    webhook_url: InferredOrNull[str] = None
    webhook_include_image: Inferred[int] = None
    webhook_status: InferredOrNull[Open[WebhookStatus]] = None
    webhook_attempts: Inferred[int] = None
    webhook_last_error: InferredOrNull[str] = None


class WebhookEvent(ResponseModel):
    """What a webhook brings: a task that was completed or failed (D:531-542). `image_base64` is a PNG."""

    event: Open[Literal["task.completed", "task.failed"]]
    task_id: str
    status: Open[Status]
    diagram_type: Open[DiagramType]
    description: str | None
    image_url: str | None
    image_base64: str | None
    error: str | None
    created_at: str
    completed_at: str | None
