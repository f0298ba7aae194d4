"""Banana's own API: its operations, the key that each wants, and its errors.

The addresses of one server stand for several hosts of the real service: api.banana.dev (queue, projects),
build.banana.dev (the log) and {project}.run.banana.dev, here /run/{project}.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bananastand.contracts.errors import Problem, ProviderError
from bananastand.contracts.request import ApiRequest
from bananastand.contracts.response import ApiResponse

from . import inference, projects, queue
from .api import ApiFunction, BananaApi
from .errors import render, render_queue, render_run
from .runtime import Runtime

__all__ = ["UPLOAD", "NativeApi"]

QUEUE = ("start_run", "check_run")
RUN = ("call_project", "warmup_project")
UPLOAD = "put_upload"  # needs no key but the one in its address


class NativeApi(BananaApi):
    """banana-native, at /banana."""

    mount = "/banana"
    contract_file = Path(__file__).with_name("banana.yaml")
    max_body = 200 * 2**20  # archives come this way
    operations: Mapping[str, ApiFunction] = {
        "start_run": queue.start_run,
        "check_run": queue.check_run,
        "list_projects": projects.list_projects,
        "create_project": projects.create_project,
        "get_project": projects.get_project,
        "update_project": projects.update_project,
        "create_upload": projects.create_upload,
        "put_upload": projects.put_upload,
        "build_project": projects.build_project,
        "warmup_project": inference.warmup_project,
        "call_project": inference.call_project,
    }

    def key(self, request: ApiRequest) -> str | None:
        """Return apiKey from the body of start and check, the header elsewhere; None for an upload.

        A check without apiKey is let through: one published client sends none.

        Raises:
            ProviderError: unauthorized.
        """
        operation = request.operation.id
        if operation == UPLOAD:
            return None
        if operation in QUEUE:
            key = request.body.get("apiKey") if isinstance(request.body, dict) else None
            if key is None and operation == "check_run":
                return None
        else:
            key = request.headers.get("x-banana-api-key")
        if not isinstance(key, str) or not key:
            raise ProviderError("unauthorized")
        return key

    def failure(self, problem: Problem, request: ApiRequest | None, runtime: Runtime) -> ApiResponse:
        """Render a problem in the form of the address."""
        operation = request.operation.id if request is not None else ""
        if request is not None and operation in QUEUE:
            return render_queue(problem, queue.refused_run(runtime, request))
        if operation in RUN:
            return render_run(problem)
        return render(problem)
