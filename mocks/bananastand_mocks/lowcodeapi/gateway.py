"""LowCodeAPI in front of one upstream, in a world: `bananastand.lowcodeapi` as a mock provider."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from bananastand.asgi.bodies import BodyReservation
from bananastand.contracts.errors import Problem, ProviderError
from bananastand.contracts.response import ApiResponse
from bananastand.lowcodeapi import gateway
from bananastand.lowcodeapi.express_body import decode_body

from ..kernel.call import ApiCall
from ..kernel.http_request import HttpRequest
from ..kernel.ids import Ids
from ..kernel.limits import Allowance
from ..kernel.provider import Credential, Provider
from ..kernel.world import World
from ..kernel.worlds import Kind
from .upstream import Upstream

__all__ = ["TOKEN", "Gateway"]

WELL_KNOWN = "at_r0123456789abcdef0123456789abcdef"
STRICT = "lowcodeapi.strict_urls"


def _mint(ids: Ids) -> str:
    return f"at_r{ids.hex(32)}"


TOKEN = Credential("lowcodeapi", WELL_KNOWN, _mint)


class Gateway(Provider):
    """LowCodeAPI in front of one upstream, at /lowcodeapi/{id}."""

    json_type = gateway.JSON_TYPE
    cors = "reflect"
    max_body = gateway.MAX_BODY
    objects_only = True
    hosts = {"api.lowcodeapi.com": "/lowcodeapi", "backend.lowcodeapi.com": "/lowcodeapi"}

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.name, self.mount = upstream.id, f"/lowcodeapi/{upstream.id}"
        self.title, self.summary = f"{upstream.title} through LowCodeAPI", upstream.description
        self.contract_file = upstream.contract_file
        self.endpoints = {**upstream.endpoints, "get_base": self._base} if upstream.base else upstream.endpoints
        self.events, self.resources = upstream.events, upstream.resources
        self.credentials = (TOKEN, upstream.credential)

    def secret(self, call: ApiCall) -> tuple[str, str] | None:
        """Return the query's api_token; the base address needs none."""
        return None if call.operation.id == "get_base" else (TOKEN.kind, gateway.api_token(call))

    def prepare(self, call: ApiCall) -> None:
        """Refuse an account without the upstream's key, and fill path parameters that were left out."""
        if not call.world.credentials.get(self.upstream.credential.kind):
            raise ProviderError("not_connected")
        self._gateway.fill_path_parameters(call)

    def success(self, call: ApiCall, response: ApiResponse) -> ApiResponse:
        """Put the envelope around the upstream's response."""
        return self._gateway.envelope(response)

    def failure(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """Render LowCodeAPI's own refusal, or the upstream's error in its envelope."""
        return self._gateway.refusal(problem, call) or self._gateway.error_envelope(self.upstream.render(problem))

    def refusal(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """Render the upstream's error without the envelope."""
        return self.upstream.render(problem)

    def early(self, request: HttpRequest) -> ApiResponse | None:
        """Return the definition, the metadata, a redirect of the base address, or the contract."""
        found = self._gateway.early(request.method, request.path, request.headers, request.base)
        return found or super().early(request)

    def rewrite(self, path: str, query: str, world: World) -> tuple[str, str]:
        """Read a query that follows the path after an ampersand, unless the world is strict; find Express's route."""
        if not world.settings.get(STRICT):
            path, query = self._gateway.split_stray_query(path, query)
        return self._gateway.as_express_matches(path), query

    def decode_body(self, raw: bytes, headers: Mapping[str, str], reservation: BodyReservation) -> bytes:
        """Inflate and decode a JSON body, as Express does."""
        return decode_body(raw, headers, self.max_body, reservation)

    def fill(self, world: World, kind: Kind) -> None:
        """Fill what the upstream keeps."""
        world.settings.setdefault(STRICT, False)
        self.upstream.fill(world, kind)

    def limit_headers(self, allowance: Allowance) -> dict[str, str]:
        """Return none: the documents name no header."""
        return {}

    @cached_property
    def _gateway(self) -> gateway.Gateway:
        upstream = self.upstream
        return gateway.Gateway(
            upstream.id, upstream.description, self.contract, headers=upstream.headers, base=upstream.base
        )

    def _base(self, call: ApiCall) -> ApiResponse:
        return self._gateway.redirect(call.headers)
