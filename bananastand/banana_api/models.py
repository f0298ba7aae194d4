"""Models (A:74-102): the list and the details. A model is a project of Banana's own API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.request import ApiRequest

from .runtime import BananaDeployment, BananaProject, Runtime

__all__ = ["get_model", "list_models"]

MOUNTS = ("/lowcodeapi/bananadev", "/banana")


def list_models(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """List every model, oldest first; no paging is documented (A:75-86)."""
    deployments = runtime.deployments()
    return {
        "models": [_model(request, project, deployments.get(project.model_key, ())) for project in runtime.projects()]
    }


def get_model(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Return one model and its deployments, newest first (A:88-102).

    Raises:
        ProviderError: model_not_found.
    """
    project = runtime.find_model(request.parameters["model_key"])
    if project is None:
        raise ProviderError("model_not_found")
    deployments = runtime.deployments().get(project.model_key, ())
    return {**_model(request, project, deployments), "deployments": [_deployment(row) for row in deployments]}


def _model(request: ApiRequest, project: BananaProject, deployments: Sequence[BananaDeployment]) -> dict[str, Any]:
    current = _current(project, deployments)
    return {
        "id": project.id,
        "teamId": project.team_id,
        "minReplicas": project.min_replicas,
        "maxReplicas": project.max_replicas,
        "inferenceTimeout": project.inference_timeout,
        "idleTimeout": project.idle_timeout,
        "modelKey": project.model_key,
        "name": project.name,
        "createdAt": project.created_at,
        "status": current.status if current is not None else "queued",
        "url": _run_url(request, project),
        "deployment": _deployment(current) if current is not None else None,
    }


def _current(project: BananaProject, deployments: Sequence[BananaDeployment]) -> BananaDeployment | None:
    """The deployment that takes the traffic, else the newest live one, else the newest."""
    chosen = [row for row in deployments if row.id == project.live]
    live = [row for row in deployments if row.status == "live"]
    return next(iter([*chosen, *live, *deployments]), None)


def _deployment(deployment: BananaDeployment) -> dict[str, Any]:
    row: dict[str, Any] = {
        "deploymentId": deployment.id,
        "status": deployment.status,
        "source": deployment.source,
        "environment": deployment.environment,
        "createdAt": deployment.created_at,
    }
    if deployment.finished_at is not None:
        row["finishedAt"] = deployment.finished_at
    if deployment.message is not None:
        row["message"] = deployment.message
    return row


def _run_url(request: ApiRequest, project: BananaProject) -> str:
    """Where the model is called directly: its run URL on the server of the request."""
    root = request.root
    for mount in MOUNTS:
        root = root.removesuffix(mount)
    return f"{request.origin}{root}/banana/run/{project.slug}"
