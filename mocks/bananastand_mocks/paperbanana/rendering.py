"""From a task's row to its files and its text.

A plan is what a picture is drawn from, as plain data: one recipe, or for a composite also those of its panels. The same
plan gives the same files, so that they are kept in memory only, the latest of them, and drawn again when asked for.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..kernel.background import WorkerThreads
from ..kernel.world import World
from . import state

__all__ = ["RenderPlan", "FigureRecipe", "Rendered", "Renderer", "plan_rendering"]

BUDGET = 64 * 2**20  # bytes of files that are kept

FigureRecipe = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The outcome: files by format, none for a text, and the description, or the text itself."""

    files: Mapping[str, bytes]
    description: str


@dataclass(frozen=True, slots=True)
class RenderPlan:
    """Recipes by task, each after those it needs; the last one is wanted."""

    recipes: tuple[tuple[str, FigureRecipe], ...]


def plan_rendering(world: World, row: state.Row) -> RenderPlan:
    """What the task's outcome is made from. Panels of panels come along, each once."""
    rows, needed, waiting = state.tasks(world), {row["task_id"]: row}, [row]
    while waiting:
        for panel in waiting.pop()["recipe"].get("panels", ()):
            if panel not in needed:
                needed[panel] = rows[panel]
                waiting.append(rows[panel])
    ordered = sorted(needed.values(), key=lambda needed_row: needed_row["number"])
    return RenderPlan(tuple((needed_row["task_id"], needed_row["recipe"]) for needed_row in ordered))


class Renderer:
    """Draws, and remembers the latest files. All of it blocks, and is for a thread of the `lane`."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.threads = WorkerThreads("paperbanana-drawing", 2)
        self._budget = budget
        self._cache: OrderedDict[str, Rendered] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def render(self, plan: RenderPlan) -> Rendered:
        """The outcome of a plan. Raises FigureError where it is well formed and cannot be drawn."""
        names = _digests(plan)
        last = plan.recipes[-1][0]
        if (known := self._recall(names[last])) is not None:
            return known
        rendered: dict[str, Rendered] = {}
        for task, recipe in plan.recipes:
            rendered[task] = self._recall(names[task]) or self._render_recipe(names[task], recipe, rendered)
        return rendered[last]

    def _render_recipe(self, name: str, recipe: FigureRecipe, panels: Mapping[str, Rendered]) -> Rendered:
        rendered = _draw(recipe, panels)
        with self._lock:
            if name not in self._cache:
                self._cache[name] = rendered
                self._bytes += _size(rendered)
            while self._bytes > self._budget and len(self._cache) > 1:
                self._bytes -= _size(self._cache.popitem(last=False)[1])
        return rendered

    def _recall(self, name: str) -> Rendered | None:
        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
            return self._cache.get(name)


def _draw(recipe: FigureRecipe, panels: Mapping[str, Rendered]) -> Rendered:
    """One outcome, by the drawing of its kind; the libraries are loaded here, on first use."""
    options = {name: value for name, value in recipe.items() if name not in ("kind", "panels")}
    match recipe["kind"]:
        case "plot":
            from ..drawing.figures import plots

            figure = plots.draw(options.pop("data_json"), options.pop("intent"), **options)
        case "diagram":
            from ..drawing.figures import diagrams

            figure = diagrams.draw(options.pop("source_context"), options.pop("caption"), **options)
        case "composite":
            from ..drawing.figures import composite

            del options["formats"]  # a composite is a PNG (D:444)
            figure = composite.draw([panels[panel].files["png"] for panel in recipe["panels"]], **options)
        case _ if "text" in options:  # a brain's words
            return Rendered({}, options["text"])
        case _:
            from ..drawing.figures import stylist

            return Rendered({}, stylist.optimize(options.pop("prompt"), **options))
    return Rendered(figure.files, figure.description)


def _digests(plan: RenderPlan) -> dict[str, str]:
    """A name for each recipe that depends on what is drawn, and not on the task's id."""
    names: dict[str, str] = {}
    for task, recipe in plan.recipes:
        content = {**recipe, "panels": [names[panel] for panel in recipe.get("panels", ())]}
        names[task] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return names


def _size(rendered: Rendered) -> int:
    return 1000 + len(rendered.description) + sum(map(len, rendered.files.values()))
