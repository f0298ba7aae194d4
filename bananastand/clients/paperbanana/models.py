"""What PaperBanana returns, as its contract says. Times are ISO 8601."""

from __future__ import annotations

from typing import Any, Literal

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
]

AspectRatio = Literal["auto", "1:1", "5:4", "2:3", "3:2", "3:4", "4:5", "4:3", "9:16", "16:9", "21:9"]
VlmProvider = Literal["gemini", "openrouter", "kie", "apimart"]
ImageModel = Literal["nano-banana-pro", "google/nano-banana", "nano-banana-2", "gpt-image-2-text-to-image"]
ImageResolution = Literal["1K", "2K", "4K"]
Format = Literal["png", "svg", "pdf"]
Status = Literal["pending", "running", "completed", "failed"]
DiagramType = Literal["methodology", "statistical_plot", "prompt_optimization", "composite"]
Endpoint = Literal["generate", "generate-from-pdf", "optimize-prompt", "plot", "composite"]


class Health(ResponseModel):
    """The service's status and version."""

    status: str
    version: str


class Submitted(ResponseModel):
    """A task that was taken on."""

    task_id: str
    status: Status


class Artifact(ResponseModel):
    """A file of a completed task."""

    format: Format
    media_type: str
    download_url: str


class Task(ResponseModel):
    """A task as it stands. What is not there yet is None; `image_base64` is a PNG."""

    task_id: str
    status: Status
    diagram_type: DiagramType
    image_base64: str | None
    artifacts: dict[Format, Artifact]
    description: str | None
    error: str | None


class Key(ResponseModel):
    """An API key; whole where it was just made. A quota of None is no limit."""

    key: str
    name: str
    quota_remaining: int | None
    quota_total: int | None
    total_used: int
    active: bool
    created_at: str
    webhook_url: str | None


class UsageEntry(ResponseModel):
    """One task that a key submitted."""

    id: int
    task_id: str
    endpoint: Endpoint
    created_at: str


class KeyDetail(Key):
    """A key with what it was used for, newest first."""

    usage_log: list[UsageEntry]


class HistoryItem(ResponseModel):
    """A task as the history lists it."""

    task_id: str
    api_key: str
    key_name: str
    endpoint: Endpoint
    diagram_type: DiagramType
    status: Status
    created_at: str
    completed_at: str | None


class HistoryPage(ResponseModel):
    """A page of the history, newest first."""

    items: list[HistoryItem]
    total: int
    page: int
    size: int
    pages: int


class HistoryDetail(HistoryItem):
    """A task with what was asked, what came of it, and how its webhook fared."""

    input_params: dict[str, Any]
    description: str | None
    error: str | None
    image_path: str | None
    image_base64: str | None
    webhook_url: str | None
    webhook_include_image: int
    webhook_status: Literal["retrying", "delivered", "failed"] | None
    webhook_attempts: int
    webhook_last_error: str | None
