"""Banana.dev as LowCodeAPI calls it. Knows the gateway's side of the door and nothing behind it."""

from __future__ import annotations

from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

from ..kernel.world import World
from ..kernel.worlds import Kind
from ..lowcodeapi.upstream import Upstream
from . import account, deployment, models, runs, usage
from .deploying import EVENT, step
from .errors import render
from .provider import KEY
from .runtime import InstantRuntime, Runtime
from .state import RUN_DUE, fill, run_is_due

__all__ = ["BananaDevUpstream"]


class BananaDevUpstream(Upstream):
    """The operations of document A."""

    id = "bananadev"
    title = "Banana.dev"
    description = "Runs, models, account, usage and deployments"
    base = True
    credential = KEY
    endpoints = {
        "start_run": runs.start_run,
        "check_run": runs.check_run,
        "run": runs.run,
        "list_models": models.list_models,
        "get_model": models.get_model,
        "get_account": account.get_account,
        "get_usage": usage.get_usage,
        "deploy_model": deployment.deploy_model,
    }
    events = {EVENT: step, RUN_DUE: run_is_due}

    def __init__(self, runtime: Runtime | None = None) -> None:
        self.resources = {"runtime": runtime or InstantRuntime()}

    def render(self, problem: Problem) -> ApiResponse:
        """Banana's JSON error."""
        return render(problem)

    def fill(self, world: World, kind: Kind) -> None:
        """The account and its models."""
        fill(world, kind)
