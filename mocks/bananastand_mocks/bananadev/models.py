"""Models (A:74-102): the list and the details. Knows models as projects of Banana's own API."""

from __future__ import annotations

from typing import Any

from ..kernel.call import ApiCall
from ..kernel.world import World
from . import state
from .runtime import Runtime

__all__ = ["get_model", "list_models", "run_url"]


def list_models(world: World, call: ApiCall, runtime: Runtime) -> dict[str, Any]:
    """Every model, in the order they were made; no paging is documented (A:75-86)."""
    deployed = _deployments(world)
    return {"models": [_model(call, row, deployed.get(row["modelKey"], [])) for row in runtime.list(world)]}


def get_model(world: World, parameters: dict[str, Any], call: ApiCall) -> dict[str, Any]:
    """One model and its deployments, newest first (A:88-102). Raises ProviderError: model_not_found."""
    row = state.model(world, parameters["model_key"])
    deployed = _deployments(world).get(row["modelKey"], [])
    return {**_model(call, row, deployed), "deployments": deployed}


def run_url(call: ApiCall, row: state.Row) -> str:
    """Where the model is called directly: the run URL of Banana's own API, on this server."""
    root = call.root
    for mount in ("/lowcodeapi/bananadev", "/banana"):
        root = root.removesuffix(mount)
    return f"{call.origin}{root}/banana/run/{row['slug']}"


def _model(call: ApiCall, row: state.Row, deployed: list[dict[str, Any]]) -> dict[str, Any]:
    pointed = [each for each in deployed if each["deploymentId"] == row.get("live")]
    live = [each for each in deployed if each["status"] == "live"]
    current = next(iter([*pointed, *live, *deployed]), None)
    shown = {name: value for name, value in row.items() if name not in ("slug", "lastRun", "live")}
    status = current["status"] if current else "queued"
    return {**shown, "status": status, "url": run_url(call, row), "deployment": current}


def _deployments(world: World) -> dict[str, list[dict[str, Any]]]:
    """All deployments by their model's key, newest first."""
    hidden = ("modelKey", "failure")
    listed = dict[str, list[dict[str, Any]]]()
    for key, row in reversed(state.deployments(world).items()):
        shown = {"deploymentId": key, **{name: value for name, value in row.items() if name not in hidden}}
        listed.setdefault(row["modelKey"], []).append(shown)
    return listed
