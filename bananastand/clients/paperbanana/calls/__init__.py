"""The calls of PaperBanana: one function for each operation. D:66 is line 66 of its API document."""

from __future__ import annotations

from .admin import create_key, delete_key, each_history_item, get_history, get_key, list_history, list_keys, update_key
from .submissions import (
    create_composite,
    create_diagram,
    create_diagram_from_pdf,
    create_plot,
    get_health,
    optimize_prompt,
)
from .tasks import get_task, get_task_image, run_and_wait, save, wait_for_task

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
