"""The life of a request: IN_QUEUE, IN_PROGRESS, COMPLETED, on the world's clock.

A request that failed or was cancelled is COMPLETED too, with an error. How long it takes is what the world's tasks say,
else the setting falqueue.seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..falai.state import Tally, catalogue, count
from ..kernel.background import BackgroundJob
from ..kernel.world import EventHandler, World
from .outputs import Outcome, failed, produce
from .state import Row, application_of, iso, requests, setting, store_request
from .webhooks import DELIVER, WebhookSender

__all__ = ["RequestRunner", "blank_request", "new_request"]

START, FINISH, EXPIRE = "falqueue.start", "falqueue.finish", "falqueue.expire"
QUEUED = 0.2  # part of its time that a request is in the queue, where a test says how long it takes


def new_request(world: World, model: str, inputs: dict[str, Any], webhook: Row | None = None) -> Row:
    """Return the row of a new request with an id and a seed of the world's; `webhook` is its outbox."""
    row = blank_request(world, world.ids.uuid(), model, inputs)
    return row | {
        "seed": world.random.getrandbits(31),
        "failure": world.tasks.take_failure(),
        "webhook": webhook,
    }


def blank_request(world: World, request_id: str, model: str, inputs: dict[str, Any]) -> Row:
    """Return the row of a request that was submitted just now."""
    return {
        "request_id": request_id,
        "model": model,
        "application": application_of(model),
        "inputs": inputs,
        "state": "IN_QUEUE",
        "submitted_at": world.clock.now(),
        "started_at": None,
        "completed_at": None,
        "polls": None,
        "failure": None,
        "logs": [],
        "status": None,
        "output": None,
        "pictures": [],
        "inline": False,
        "error": None,
        "error_type": None,
        "webhook": None,
    }


class RequestRunner:
    """Begins requests, carries them out, and has their webhooks delivered."""

    def __init__(self, sender: WebhookSender) -> None:
        self.sender = sender
        self.events: Mapping[str, EventHandler] = {
            START: self._start_event,
            FINISH: self._finish_event,
            EXPIRE: self._expire_event,
            DELIVER: self._deliver_event,
        }

    def begin(self, world: World, row: Row, *, start_timeout: float | None = None) -> None:
        """Put a new request into the queue, and plan its life.

        Args:
            world: The world.
            row: The request.
            start_timeout: Seconds after which a request that has not started fails.
        """
        store_request(world, row)
        if world.tasks.mode == "after_polls":
            row["polls"] = world.tasks.polls
            return
        queued, running = _seconds(world)
        if start_timeout is not None and start_timeout < queued:
            world.clock.after(start_timeout, EXPIRE, request_id=row["request_id"])
            return
        world.clock.after(queued, START, request_id=row["request_id"])
        world.clock.after(queued + running, FINISH, request_id=row["request_id"])

    async def run(self, world: World, row: Row) -> None:
        """Carry out a synchronous run; in real time the client waits as long as it takes."""
        store_request(world, row)
        self._start(world, row)
        if not world.clock.virtual:
            await asyncio.sleep(sum(_seconds(world)) / world.clock.speed)
        self._finish(world, row)

    def poll(self, world: World, row: Row) -> None:
        """Count a look at the status: a request that waits for looks is one nearer to its end.

        The first of several sees it in the queue, the others on a runner.
        """
        if row["polls"] is None or row["state"] == "COMPLETED":
            return
        if row["polls"] == 0:
            self._start(world, row)
            self._finish(world, row)
            return
        if row["state"] == "IN_QUEUE" and (row["polls"] == 1 or row["polls"] < world.tasks.polls):
            self._start(world, row)
        row["polls"] -= 1

    def cancel(self, world: World, row: Row) -> None:
        """End a request that has not completed."""
        self._complete(world, row, failed(499, "Request was cancelled", "client_cancelled"))

    def _start(self, world: World, row: Row) -> None:
        if row["state"] == "IN_QUEUE":
            row["state"], row["started_at"] = "IN_PROGRESS", world.clock.now()
            _log(world, row, f"Running {row['model']}")

    def _finish(self, world: World, row: Row) -> None:
        if row["state"] == "COMPLETED":
            return
        if row["failure"] is not None:
            self._complete(world, row, failed(500, row["failure"], "runner_server_error"))
            return
        seconds = round(world.clock.now() - row["started_at"], 6)
        run = {"request_id": row["request_id"], "seed": row["seed"], "seconds": seconds}
        self._complete(world, row, produce(row["model"], row["inputs"], **run))

    def _complete(self, world: World, row: Row, outcome: Outcome) -> None:
        now = world.clock.now()
        row |= {
            "state": "COMPLETED",
            "completed_at": now,
            "status": outcome.status,
            "output": outcome.body,
            "pictures": outcome.pictures,
            "inline": outcome.inline,
        }
        if outcome.status != 200:
            row["error_type"] = outcome.body.get("error_type")
            row["error"] = f"Invalid status code: {outcome.status}"
            if row["error_type"] is not None:
                row["error"] = str(outcome.body["detail"])
        _log(world, row, "Finished" if row["error"] is None else f"Failed: {row['error']}")
        _count(world, row, outcome.units)
        self.sender.begin(world, row)

    def _start_event(self, world: World, details: dict[str, Any]) -> None:
        if (row := requests(world).get(details["request_id"])) is not None:
            self._start(world, row)

    def _finish_event(self, world: World, details: dict[str, Any]) -> None:
        if (row := requests(world).get(details["request_id"])) is not None:
            self._finish(world, row)

    def _expire_event(self, world: World, details: dict[str, Any]) -> None:
        row = requests(world).get(details["request_id"])
        if row is not None and row["state"] != "COMPLETED":
            self._complete(world, row, failed(504, "Request timed out", "request_timeout"))

    def _deliver_event(self, world: World, details: dict[str, Any]) -> BackgroundJob | None:
        return self.sender.deliver(world, details)


def _seconds(world: World) -> tuple[float, float]:
    """How long a request is in the queue and on a runner."""
    if world.tasks.mode == "after_seconds":
        return QUEUED * world.tasks.seconds, (1 - QUEUED) * world.tasks.seconds
    queued, running = setting(world, "seconds")
    return queued, running


def _log(world: World, row: Row, message: str) -> None:
    row["logs"].append({"message": message, "level": "INFO", "source": "USER", "timestamp": iso(world.clock.now())})


def _count(world: World, row: Row, units: float) -> None:
    """Count a request of a model in the catalogue for usage and analytics of fal's own API."""
    if row["model"] not in catalogue() or row["started_at"] is None:
        return
    tally = Tally(
        requests=1,
        errors=int(row["status"] // 100 == 5),
        user_errors=int(row["status"] // 100 == 4),
        quantity=units,
        durations=[round(row["completed_at"] - row["started_at"], 6)],
        waits=[round(row["started_at"] - row["submitted_at"], 6)],
    )
    count(world, row["model"], tally)
