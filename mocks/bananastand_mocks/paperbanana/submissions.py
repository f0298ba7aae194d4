"""The five workflows (D:87-503): what is asked for is checked, taken from the quota and made a task.

A request that is refused costs nothing (D:36): quota is taken in the same breath in which the task is kept.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bananastand.contracts.errors import ProviderError

from ..kernel.call import ApiCall
from ..kernel.world import World
from . import state
from .lifecycle import ITERATIONS, TaskRunner
from .rules import check_data, check_image_options, check_layout, formats
from .webhooks import outbox

if TYPE_CHECKING:
    from ..drawing.figures.paper import Paper

__all__ = ["create_composite", "create_diagram", "create_diagram_from_pdf", "create_plot", "optimize_prompt"]

TEXT_KEPT = 200_000  # characters of a PDF that a figure is drawn from
NOT_IN_HISTORY = ("pdf_base64", "webhook_url", "webhook_include_image")  # of a request, in the history

Body = dict[str, Any]


def create_diagram(world: World, body: Body, call: ApiCall, runner: TaskRunner) -> Body:
    """A methodology figure from a text (D:87-207). Raises ProviderError: invalid, quota_exhausted."""
    check_image_options(body, state.setting(world, "image_provider"))
    return _accept(world, body, call, runner, "generate", "methodology", _diagram(body, body["source_context"]))


async def create_diagram_from_pdf(world: World, body: Body, call: ApiCall, runner: TaskRunner) -> Body:
    """The same from pages of a PDF (D:209-287). Raises ProviderError: invalid, quota_exhausted."""
    check_image_options(body, state.setting(world, "image_provider"))
    reading = runner.reading_threads.start(lambda: _read(body["pdf_base64"], body.get("pages")))
    paper = await asyncio.wrap_future(reading)
    recipe = _diagram(body, paper.text[:TEXT_KEPT])
    task = _accept(world, body, call, runner, "generate-from-pdf", "methodology", recipe)
    path = state.keep_pdf(world, task["task_id"], paper.pdf)
    parameters = state.tasks(world)[task["task_id"]]["input_params"]
    parameters |= {"pdf_path": path, "pages": body.get("pages"), "text_length": len(paper.text)}
    return task


def optimize_prompt(world: World, body: Body, call: ApiCall, runner: TaskRunner) -> Body:
    """A prompt in a better form, as text (D:289-348). Raises ProviderError: quota_exhausted."""
    recipe = {
        "kind": "prompt",
        "prompt": body["description"],
        "diagram_type": body.get("diagram_type", "methodology"),
        "source_context": body.get("source_context"),
        "caption": body.get("caption"),
        "guidelines": body.get("guidelines"),
    }
    return _accept(world, body, call, runner, "optimize-prompt", "prompt_optimization", recipe)


def create_plot(world: World, body: Body, call: ApiCall, runner: TaskRunner) -> Body:
    """A chart of data (D:350-438). Raises ProviderError: invalid, quota_exhausted."""
    check_data(body["data_json"])
    recipe = {
        "kind": "plot",
        "data_json": body["data_json"],
        "intent": body["intent"],
        "aspect_ratio": body.get("aspect_ratio"),
        "iterations": int(body.get("iterations", ITERATIONS)),
        "formats": formats(body),
    }
    return _accept(world, body, call, runner, "plot", "statistical_plot", recipe)


async def create_composite(world: World, body: Body, call: ApiCall, runner: TaskRunner) -> Body:
    """One figure of several (D:440-503). Raises ProviderError: task_not_found, invalid, quota_exhausted."""
    layout, labels, sources = body.get("layout", "auto"), body.get("labels"), body["source_task_ids"]
    rows = [state.task_of(world, call.credential, task_id) for task_id in sources]
    for row in rows:
        await runner.settle(world, row)
        if row["status"] != "completed":
            raise ProviderError("invalid", f"Task {row['task_id']} is not completed")
        if not row["formats"]:
            raise ProviderError("invalid", f"Task {row['task_id']} has no image")
    check_layout(len(sources), layout, labels)
    recipe = {
        "kind": "composite",
        "panels": sources,
        "layout": layout,
        "labels": labels,
        "spacing": int(body.get("spacing", 20)),
        "label_position": body.get("label_position", "bottom"),
        "label_font_size": int(body.get("label_font_size", 32)),
        "formats": ["png"],
    }
    return _accept(world, body, call, runner, "composite", "composite", recipe)


def _accept(
    world: World, body: Body, call: ApiCall, runner: TaskRunner, endpoint: str, diagram_type: str, recipe: Body
) -> Body:
    """The task is there, its unit of quota gone. Raises ProviderError: quota_exhausted."""
    key = call.credential or ""
    owner = state.keys(world)[key]
    if owner["quota_remaining"] is not None and owner["quota_remaining"] <= 0:
        raise ProviderError("quota_exhausted")
    url = body.get("webhook_url") or owner["webhook_url"]
    row: state.Row = {
        "task_id": world.ids.hex(32),
        "number": state.number(world, "tasks"),
        "api_key": key,
        "key_name": owner["name"],
        "endpoint": endpoint,
        "diagram_type": diagram_type,
        "status": "pending",
        "created_at": world.clock.now(),
        "completed_at": None,
        "description": None,
        "error": None,
        "formats": recipe.get("formats", []),
        "recipe": recipe,
        "input_params": {name: value for name, value in body.items() if name not in NOT_IN_HISTORY},
        "base": f"{call.origin}{call.root}",
        "webhook": outbox(url, include_image=body.get("webhook_include_image", False)) if url else None,
    }
    state.use(world, key, endpoint, row["task_id"])
    runner.begin(world, row)
    return {"task_id": row["task_id"], "status": "pending"}


def _diagram(body: Body, text: str) -> Body:
    return {
        "kind": "diagram",
        "source_context": text,
        "caption": body["caption"],
        "aspect_ratio": body.get("aspect_ratio"),
        "image_resolution": body.get("image_resolution"),
        "iterations": int(body.get("iterations", ITERATIONS)),
        "formats": ["png"],
    }


def _read(pdf: str, pages: str | None) -> Paper:
    """The text of a PDF; blocks. Raises ProviderError: invalid."""
    from ..drawing.figures import FigureError, paper

    try:
        return paper.read(pdf, pages)
    except FigureError as refused:
        raise ProviderError("invalid", refused.message) from None
