"""Deployment (A:134-151). Knows no build."""

from __future__ import annotations

from typing import Any

from ..kernel.world import World
from . import state
from .runtime import Runtime

__all__ = ["deploy_model"]


def deploy_model(world: World, body: dict[str, Any], runtime: Runtime) -> dict[str, Any]:
    """Queue a deployment; a model of an unknown key is made. The environment is kept as it was sent (A:135-151)."""
    deployment = runtime.deploy(world, body["modelKey"], body["source"], body.get("environment", {}))
    created = state.deployments(world)[deployment]["createdAt"]
    return {"modelKey": body["modelKey"], "deploymentId": deployment, "status": "queued", "createdAt": created}
