"""The way of a deployment: queued, building, deploying, live or failed, on the world's clock. Knows no HTTP."""

from __future__ import annotations

from typing import Any

from ..kernel.world import World
from . import state

__all__ = ["EVENT", "begin", "step"]

EVENT = "bananadev.deployment"
NEXT = {"queued": "building", "building": "deploying", "deploying": "live"}
ORDER = ("queued", "building", "deploying")
LINES = {
    "queued": ["Build queued"],
    "building": [
        "Step 1/6 : FROM pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime",
        "Step 4/6 : RUN python3 download.py",
        "Step 6/6 : CMD python3 -u app.py",
        "Successfully built",
    ],
    "deploying": ["Pushing image", "Starting a replica"],
    "live": ["Your model is live"],
}


def begin(world: World, model_key: str, source: str, environment: Any) -> str:
    """Queue a deployment of a model, made if there is none of that key; its id."""
    if model_key not in state.models(world):
        state.add_model(world, model_key)
    deployment = world.ids.uuid()
    state.deployments(world)[deployment] = {
        "modelKey": model_key,
        "status": "queued",
        "source": source,
        "environment": environment,
        "createdAt": state.iso(world.clock.now()),
        "failure": world.tasks.take_failure(),
    }
    _log(world, deployment, LINES["queued"])
    state.forget_old_deployments(world, model_key)
    world.clock.after(state.setting(world, "build_seconds")[0], EVENT, id=deployment)
    return deployment


def step(world: World, details: dict[str, Any]) -> None:
    """The next state of a deployment; one that is to fail does so while building."""
    row = state.deployments(world)[details["id"]]
    if row["status"] == "building" and row["failure"] is not None:
        row["status"], row["message"] = "failed", row["failure"]
        _log(world, details["id"], [f"error: {row['failure']}"])
    else:
        row["status"] = NEXT[row["status"]]
        _log(world, details["id"], LINES[row["status"]])
    if row["status"] in ("live", "failed"):
        row["finishedAt"] = state.iso(world.clock.now())
    else:
        seconds = state.setting(world, "build_seconds")[ORDER.index(row["status"])]
        world.clock.after(seconds, EVENT, id=details["id"])


def _log(world: World, deployment: str, lines: list[str]) -> None:
    now = state.iso(world.clock.now())
    state.log_lines(world, deployment).extend({"t": now, "m": line} for line in lines)
