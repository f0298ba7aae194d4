"""The documents' examples beside the contracts: their operations, their parameters, the responses they show."""

from __future__ import annotations

import re
from typing import Any

from contracts import Operation, contract, named_operations, operation, resolve
from snippets import Snippet, snippets

__all__ = ["DIFFERING", "answers_of_documents", "cites", "declared", "documented_operations", "operation_of"]

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


def operation_of(example: Snippet) -> Operation:
    """Returns the operation that an example is about."""
    assert example.operation is not None
    return operation(contract(example.provider), example.operation)


def declared(found: Operation, name: str, place: str | None) -> tuple[Any, bool]:
    """Returns a field of the body, or a parameter, with its $ref followed, and whether it is required."""
    if place == "body":
        body = resolve(found.document, found.body)
        field = body["properties"][name]
        return {**resolve(found.document, field), **field}, name in body.get("required", ())
    parameter = next(parameter for parameter in found.parameters if parameter["name"] == name)
    return {**resolve(found.document, parameter["schema"]), **parameter}, bool(parameter.get("required"))


def cites(source: str, example: Snippet) -> bool:
    """Whether a source such as `A:94-96` or `A:30, A:36` contains the line of the example."""
    ranges = re.findall(rf"{example.document}:(\d+)(?:-(\d+))?", source)
    return any(int(first) <= example.lines[0] <= int(last or first) for first, last in ranges)


def documented_operations(provider: str) -> set[str]:
    """Returns the operations that the contract takes from the document without a doubt."""
    return {
        found.spec["operationId"]
        for found in named_operations(contract(provider))
        if found.spec.get("x-confidence", "documented") == "documented"
    }
