"""Banana's own API at its own address: keys, headers, three dialects of errors. Knows no operation.

The addresses of one server stand for several hosts of the real service: api.banana.dev (queue, projects),
build.banana.dev (the log) and {project}.run.banana.dev, here /run/{project}.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bananastand.contracts.errors import Problem, ProviderError
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.ids import Ids
from ..kernel.provider import Credential, Provider
from ..kernel.world import World
from ..kernel.worlds import Kind
from . import inference, projects, queue
from .build_log import stream_log
from .deploying import EVENT, step
from .errors import render, render_queue, render_run
from .runtime import InstantRuntime, Runtime
from .state import RUN_DUE, fill, run_is_due

__all__ = ["KEY", "BananaDev"]


def _mint(ids: Ids) -> str:
    return ids.uuid()


KEY = Credential("banana", "11111111-1111-1111-1111-111111111111", _mint)
QUEUE = ("start_run", "check_run")
RUN = ("call_project", "warmup_project")


class BananaDev(Provider):
    """banana-native, at /banana."""

    name = "banana-native"
    mount = "/banana"
    contract_file = Path(__file__).with_name("openapi.yaml")
    title = "Banana.dev"
    summary = "Queue (start and check, v2 to v4), projects, the CLI's deploy flow, build log, run URLs"
    max_body = 200 * 2**20  # archives come this way
    endpoints = {
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
    events = {EVENT: step, RUN_DUE: run_is_due}
    credentials = (KEY,)

    def __init__(self, runtime: Runtime | None = None) -> None:
        self.resources = {"runtime": runtime or InstantRuntime()}
        self.sockets = {"/ws/logs/{build}": partial(stream_log, runtime=self.resources["runtime"])}

    def secret(self, call: ApiCall) -> tuple[str, str] | None:
        """apiKey in the body of start and check, the header elsewhere; an upload's key is its own.

        A check without apiKey is let through: one published client sends none.
        """
        if call.operation.id in QUEUE:
            key = call.body.get("apiKey") if isinstance(call.body, dict) else None
            if key is None and call.operation.id == "check_run":
                return None
        elif call.operation.id == "put_upload":
            return projects.UPLOAD, call.path["key"]
        else:
            key = call.headers.get("x-banana-api-key")
        if not isinstance(key, str) or not key:
            raise ProviderError("unauthorized")
        return KEY.kind, key

    def failure(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """In the dialect of the address."""
        operation = call.operation.id if call is not None else ""
        if call is not None and operation in QUEUE:
            return render_queue(problem, queue.refused(call))
        if operation in RUN:
            return render_run(problem)
        if operation == "put_upload" and problem.condition == "unknown_credential":
            return render(Problem("upload_refused"))
        return render(problem)

    def fill(self, world: World, kind: Kind) -> None:
        """The account and its projects."""
        fill(world, kind)
