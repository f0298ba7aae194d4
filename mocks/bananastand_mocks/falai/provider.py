"""fal's Platform API at its own address: keys, headers, error envelope."""

from __future__ import annotations

from pathlib import Path

from bananastand.contracts.errors import Problem, ProviderError
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.ids import Ids
from ..kernel.provider import Credential, Provider
from ..kernel.world import World
from ..kernel.worlds import Kind
from .endpoints import EVENTS
from .errors import render
from .native import ENDPOINTS
from .state import fill

__all__ = ["HEADERS", "KEY", "FalAIProvider"]

HEADERS = {"cache-control": "public, max-age=0, must-revalidate"}  # as recorded
SCHEMES = ("key ", "bearer ")


def _mint(ids: Ids) -> str:
    return f"{ids.uuid()}:{ids.hex(32)}"


KEY = Credential("fal", "fal-bananastand", _mint)


class FalAIProvider(Provider):
    """fal-native, at /fal."""

    name = "fal-native"
    mount = "/fal"
    hosts = {"api.fal.ai": "/fal"}
    contract_file = Path(__file__).with_name("openapi.yaml")
    title = "fal.ai"
    summary = "Platform APIs: models, prices, usage, analytics, compute instances"

    def __init__(self) -> None:
        self.endpoints, self.events, self.credentials = ENDPOINTS, EVENTS, (KEY,)

    def secret(self, call: ApiCall) -> tuple[str, str] | None:
        """The key after the word Key, or Bearer as C:24 has it; the list of models needs none."""
        authorization = call.headers.get("authorization", "")
        if not authorization and call.operation.id == "list_models":
            return None
        if not authorization.lower().startswith(SCHEMES):
            raise ProviderError("unauthorized")
        return KEY.kind, authorization.partition(" ")[2].strip()

    def success(self, call: ApiCall, response: ApiResponse) -> ApiResponse:
        """The response with the header that fal sends."""
        response.headers |= HEADERS
        return response

    def failure(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """Fal's envelope, with an id of the request where the call is known."""
        answer = render(problem, None if call is None else call.world.ids.uuid())
        answer.headers |= HEADERS
        return answer

    def fill(self, world: World, kind: Kind) -> None:
        """The instance and the day that document C names, in the documents world."""
        fill(world, kind)
