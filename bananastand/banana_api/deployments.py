"""Deployment (A:134-151)."""

from __future__ import annotations

from typing import Any

from bananastand.contracts.request import ApiRequest

from .runtime import Runtime

__all__ = ["deploy_model"]


def deploy_model(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Queue a deployment and create the model if its key is new (A:135-151).

    Raises:
        ProviderError: violation, failed.
    """
    body = request.body
    deployment = runtime.deploy(body["modelKey"], body["source"], body.get("environment", {}))
    return {
        "modelKey": body["modelKey"],
        "deploymentId": deployment.id,
        "status": "queued",
        "createdAt": deployment.created_at,
    }
