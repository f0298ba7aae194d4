"""The answers that the documents show, and the places where the mocks' answers have other values."""

from __future__ import annotations

from snippets import Snippet, snippets

__all__ = ["DIFFERING", "answers_of_documents"]

PROVIDERS = ("gobananas", "paperbanana")  # documents A and C show no answers
TASK = {"task_id"}
DIFFERING: dict[str, set[str]] = {
    "B:90": {"images.0.id", "images.0.url", "images.0.thumbnail_url", "images.0.size_bytes", "session_id"},
    "B:132": {"images.0.url", "images.0.thumbnail_url", "pagination.limit", "pagination.total", "pagination.has_more"},
    "B:202": {"sessions.0.total_images", "sessions.0.total_edits"},
    "B:241": {"daily.0.date", "daily.0.images", "daily.0.edits", "daily.0.size_mb"},
    "D:110": TASK,
    "D:233": TASK,
    "D:310": TASK,
    "D:371": TASK,
    "D:460": TASK,
    "D:632": {"description", *(f"artifacts.{kind}.download_url" for kind in ("png", "svg", "pdf"))},
    "D:731": {"key", "created_at", "webhook_url"},
}


def answers_of_documents() -> list[Snippet]:
    """Every JSON answer that a document shows of an operation, in the order of the documents."""
    return [
        snippet
        for provider in PROVIDERS
        for snippet in snippets(provider, "response", "answer", "error")
        if snippet.text[0] in "{[" and snippet.operation is not None
    ]
