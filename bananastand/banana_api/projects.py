"""Banana's management API and the CLI's way to deploy: projects, upload, build.

Observed: the CLI takes every status but 200 for a failure.
"""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.request import ApiRequest
from bananastand.contracts.response import ApiResponse

from .runtime import BananaProject, Runtime

__all__ = [
    "SETTINGS",
    "build_project",
    "create_project",
    "create_upload",
    "get_project",
    "list_projects",
    "put_upload",
    "update_project",
]

SETTINGS = {
    "minReplicas": "min_replicas",
    "maxReplicas": "max_replicas",
    "inferenceTimeout": "inference_timeout",
    "idleTimeout": "idle_timeout",
}


def list_projects(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """List every project; any query is ignored."""
    return {"results": [_project(project) for project in runtime.projects()]}


def create_project(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Create a project, whose id also names its model: no response names another key."""
    return _project(runtime.create_project(request.body["name"]))


def get_project(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Return one project.

    Raises:
        ProviderError: project_not_found.
    """
    return _project(_find(runtime, request))


def update_project(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Change the settings that the body names; unknown names are ignored.

    Raises:
        ProviderError: project_not_found, violation.
    """
    project = _find(runtime, request)
    changes = {SETTINGS[name]: value for name, value in request.body.items() if name in SETTINGS}
    return _project(runtime.change_project(project, changes))


def create_upload(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Return an address for one archive, which needs no other key than its own.

    Raises:
        ProviderError: project_not_found.
    """
    key = runtime.create_upload(_find(runtime, request))
    return {"uploadUrl": f"{request.origin}{request.root}/upload/{key}", "key": key}


def put_upload(runtime: Runtime, request: ApiRequest) -> ApiResponse:
    """Store the archive.

    Raises:
        ProviderError: upload_refused.
    """
    runtime.put_upload(request.parameters["key"], request.raw)
    return ApiResponse(status=200)


def build_project(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Build an uploaded archive.

    Raises:
        ProviderError: project_not_found, upload_not_found, violation, failed.
    """
    project, key = _find(runtime, request), request.body["key"]
    if not runtime.has_upload(key, project):
        raise ProviderError("upload_not_found")
    return {"id": runtime.deploy(project.model_key, key, {}).id}


def _find(runtime: Runtime, request: ApiRequest) -> BananaProject:
    project = runtime.find_project(request.parameters["id"])
    if project is None:
        raise ProviderError("project_not_found")
    return project


def _project(project: BananaProject) -> dict[str, Any]:
    return {
        "id": project.id,
        "teamId": project.team_id,
        "name": project.name,
        **{name: getattr(project, attribute) for name, attribute in SETTINGS.items()},
    }
