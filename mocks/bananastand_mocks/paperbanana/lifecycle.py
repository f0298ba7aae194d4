"""The life of a task (D:659-665): pending, running, completed or failed, on the world's clock.

How long it takes is the world's matter: so many polls or seconds where a test says so, else the setting
paperbanana.seconds. Drawing takes no time of a virtual clock; where time is real, a task is done when it is drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from ..kernel.background import BackgroundJob, WorkerThreads
from ..kernel.world import EventHandler, World
from . import state
from .rendering import FigureRecipe, Rendered, Renderer, RenderPlan, plan_rendering
from .vlm import Vlm, VlmError
from .vlm_planner import VlmPlanner
from .webhooks import DELIVER, WebhookSender

__all__ = ["FINISH", "ITERATIONS", "TaskRunner"]

log = logging.getLogger("bananastand_mocks")

PlannedFigure = tuple[FigureRecipe, Rendered]  # what the task was drawn from in the end, and the outcome

START, FINISH = "paperbanana.start", "paperbanana.finish"
QUEUED = 0.2  # of its time that a task is pending
ITERATIONS = 3


class TaskRunner:
    """Begins tasks, carries them out, and has their webhooks delivered."""

    def __init__(self, renderer: Renderer, sender: WebhookSender, vlm: Vlm | None = None) -> None:
        self.renderer, self.sender, self.vlm = renderer, sender, vlm
        self.reading_threads = WorkerThreads("paperbanana-reading", 2)
        self.vlm_threads = WorkerThreads("paperbanana-thinking", 8)
        self.events: Mapping[str, EventHandler] = {START: self._start, FINISH: self._finish, DELIVER: self._deliver}

    def begin(self, world: World, row: state.Row) -> None:
        """Keep a new task, and plan its life."""
        row["failure"] = world.tasks.take_failure()
        row["polls"] = world.tasks.polls if world.tasks.mode == "after_polls" else None
        state.keep_task(world, row)
        if row["polls"] is None:
            seconds = _seconds(world)
            world.clock.after(QUEUED * seconds, START, task_id=row["task_id"])
            world.clock.after(seconds, FINISH, task_id=row["task_id"])

    async def poll(self, world: World, row: state.Row) -> None:
        """Somebody asks for a task: one that waits for polls is a poll nearer to its end."""
        if row["status"] not in ("pending", "running"):
            return
        if row["polls"] is not None:
            if row["polls"] > 0:
                row["polls"], row["status"] = row["polls"] - 1, "running"
                return
            row["polls"] = None
            world.clock.after(0, FINISH, task_id=row["task_id"])
            world.clock.run_due()
            await world.clock.settle(FINISH, task_id=row["task_id"])
        else:
            await self.settle(world, row)

    async def settle(self, world: World, row: state.Row) -> None:
        """Where time is virtual, wait for a drawing that is under way."""
        if world.clock.virtual:
            await world.clock.settle(FINISH, task_id=row["task_id"])

    def _start(self, world: World, details: dict[str, Any]) -> None:
        row = state.tasks(world).get(details["task_id"])
        if row is not None and row["status"] == "pending":
            row["status"] = "running"

    def _finish(self, world: World, details: dict[str, Any]) -> BackgroundJob | None:
        row = state.tasks(world).get(details["task_id"])
        if row is None or row["status"] in ("completed", "failed"):
            return None
        row["status"] = "running"
        if row["failure"] is not None:
            self._end(world, row, "failed", error=row["failure"])
            return None
        threads = self.renderer.threads if self.vlm is None else self.vlm_threads
        work = self._drawing_work(plan_rendering(world, row), row["input_params"])
        return BackgroundJob(threads, work, lambda outcome: self._store_outcome(world, row, outcome))

    def _drawing_work(self, plan: RenderPlan, parameters: Mapping[str, Any]) -> Callable[[], PlannedFigure]:
        """Have a brain think about the task, where there is one, and draw it; what is to be done in a thread."""
        *panels, (task, recipe) = plan.recipes
        vlm_choice = {name: parameters.get(f"vlm_{name}") for name in ("provider", "model")}
        iterations = int(parameters.get("iterations", ITERATIONS))

        def render(planned_recipe: FigureRecipe) -> Rendered:
            return self.renderer.render(RenderPlan((*panels, (task, planned_recipe))))

        def make() -> PlannedFigure:
            planned_recipe = recipe
            if self.vlm is not None:
                planner = VlmPlanner(self.vlm, lambda recipe_to_show: render(recipe_to_show).files["png"])
                planned_recipe = planner.plan(recipe, iterations=iterations, **vlm_choice)
            return planned_recipe, render(planned_recipe)

        return make

    def _store_outcome(self, world: World, row: state.Row, outcome: Future[PlannedFigure]) -> None:
        raised = outcome.exception()
        if raised is None:
            row["recipe"], rendered = outcome.result()
            self._end(world, row, "completed", description=rendered.description)
            return
        if isinstance(raised, VlmError):
            log.warning("task %s failed: %s", row["task_id"], raised)
        elif type(raised).__name__ != "FigureError":  # named, not imported: figures are loaded where they are drawn
            log.error("a drawing failed", exc_info=raised)
        self._end(world, row, "failed", error=str(raised) or type(raised).__name__)

    def _end(self, world: World, row: state.Row, status: str, **result: str) -> None:
        row.update(result, status=status, completed_at=world.clock.now())
        self.sender.begin(world, row)

    def _deliver(self, world: World, details: dict[str, Any]) -> BackgroundJob | None:
        def picture(row: state.Row) -> Callable[[], bytes]:
            figure_plan = plan_rendering(world, row)
            return lambda: self.renderer.render(figure_plan).files["png"]

        return self.sender.deliver(world, details, picture)


def _seconds(world: World) -> float:
    if world.tasks.mode == "after_seconds":
        return world.tasks.seconds
    seconds = state.setting(world, "seconds")
    least, most = seconds if isinstance(seconds, list) else (seconds, seconds)
    return least if least == most else world.random.uniform(least, most)
