"""What a new world holds: the settings, and in the documents world a request in each state.

The ids are those of examples in fal's documentation.
"""

from __future__ import annotations

import copy
from typing import Any

from ..kernel.world import World
from ..kernel.worlds import Kind
from .lifecycle import blank_request
from .outputs import produce
from .state import SETTINGS, iso, requests, store_request

__all__ = ["COMPLETED", "FAILED", "RUNNING", "WAITING", "fill"]

COMPLETED = "764cabcf-b745-4b3e-ae38-1200304cf45b"
FAILED = "123e4567-e89b-12d3-a456-426614174000"
RUNNING = "024ca5b1-45d3-4afd-883e-ad3abe2a1c4d"
WAITING = "80e732af-660e-45cd-bd63-580e4f2a94cc"
REAL_SECONDS = [0.2, 0.8]


def fill(world: World, kind: Kind) -> None:
    """Put in the settings; in the documents world also four requests that stay as they are."""
    for name, value in SETTINGS.items():
        world.settings.setdefault(name, copy.deepcopy(value))
    if not world.clock.virtual:
        world.settings["falqueue.seconds"] = list(REAL_SECONDS)
    if kind == "documents" and COMPLETED not in requests(world):
        _add(world, COMPLETED, {"prompt": "a cat", "output_format": "png"}, "COMPLETED")
        _add(world, FAILED, {}, "COMPLETED")
        _add(world, RUNNING, {"prompt": "Photo of a cute dog"}, "IN_PROGRESS")
        _add(world, WAITING, {"prompt": "a cat"}, "IN_QUEUE")


def _add(world: World, request_id: str, inputs: dict[str, Any], state: str) -> None:
    row = blank_request(world, request_id, "fal-ai/flux/dev", inputs) | {"state": state}
    now = world.clock.now()
    if state != "IN_QUEUE":
        line = {"message": "Running fal-ai/flux/dev", "level": "INFO", "source": "USER", "timestamp": iso(now)}
        row |= {"started_at": now, "logs": [line]}
    if state == "COMPLETED":
        outcome = produce(row["model"], inputs, request_id=request_id, seed=0, seconds=0.0)
        row |= {"completed_at": now, "status": outcome.status, "output": outcome.body, "pictures": outcome.pictures}
        row["error"] = None if outcome.status == 200 else f"Invalid status code: {outcome.status}"
    store_request(world, row)
