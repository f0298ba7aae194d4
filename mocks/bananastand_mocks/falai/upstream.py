"""fal.ai as LowCodeAPI calls it."""

from __future__ import annotations

from pathlib import Path

from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

from ..kernel.world import World
from ..kernel.worlds import Kind
from ..lowcodeapi.upstream import Upstream
from .endpoints import ENDPOINTS, EVENTS
from .errors import render
from .provider import HEADERS, KEY
from .state import fill

__all__ = ["FalAIUpstream"]


class FalAIUpstream(Upstream):
    """The operations of document C."""

    id = "falai"
    title = "fal.ai"
    description = "Models, prices, usage, analytics, compute instances and batches of requests"
    contract_file = Path(__file__).parents[1] / "lowcodeapi" / "falai.yaml"
    headers = HEADERS
    credential = KEY
    endpoints = ENDPOINTS
    events = EVENTS

    def render(self, problem: Problem) -> ApiResponse:
        """Fal's own error."""
        return render(problem)

    def fill(self, world: World, kind: Kind) -> None:
        """The instance and the day that the document names, in the documents world."""
        fill(world, kind)
