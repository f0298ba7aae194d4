"""Banana.dev as LowCodeAPI calls it, in a world: `bananastand.banana_api.gateway` over the mock's runtime."""

from __future__ import annotations

from bananastand.banana_api.errors import render
from bananastand.banana_api.gateway import DESCRIPTION, OPERATIONS, GatewayApi
from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

from ..kernel.world import World
from ..kernel.worlds import Kind
from ..lowcodeapi.upstream import Upstream
from .deploying import EVENT, step
from .operations import endpoints_of
from .provider import KEY
from .runtime import InstantRuntime, RuntimeFactory
from .state import RUN_DUE, fill, run_is_due

__all__ = ["BananaDevUpstream"]


class BananaDevUpstream(Upstream):
    """The operations of document A."""

    id = "bananadev"
    title = "Banana.dev"
    description = DESCRIPTION
    contract_file = GatewayApi.contract_file
    base = True
    credential = KEY
    events = {EVENT: step, RUN_DUE: run_is_due}

    def __init__(self, runtime: RuntimeFactory = InstantRuntime) -> None:
        self.endpoints = endpoints_of(OPERATIONS, runtime)

    def render(self, problem: Problem) -> ApiResponse:
        """Render Banana's JSON error."""
        return render(problem)

    def fill(self, world: World, kind: Kind) -> None:
        """Fill the account and its models."""
        fill(world, kind)
