"""The gateway: token, addresses, envelope. Knows an upstream only as endpoints and errors.

Observed in LowCodeAPI's published source, where the documents do not say more: the upstream's status becomes 200 in
every success and stays itself in an error; path parameters travel in the query under a literal name (the old format)
or in the path (the new one) and are not encoded on the way; one that is left out arrives as the word null.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from bananastand.contracts.errors import Problem, ProviderError
from bananastand.contracts.response import JSON, ApiResponse

from ..kernel.call import ApiCall
from ..kernel.ids import Ids
from ..kernel.limits import Allowance
from ..kernel.provider import Credential, Provider
from ..kernel.world import World
from ..kernel.worlds import Kind
from .definition import definition, literal_places, metadata
from .errors import refuse
from .upstream import Upstream

__all__ = ["TOKEN", "Gateway"]

WELL_KNOWN = "at_r0123456789abcdef0123456789abcdef"
COMPLETED = "Request completed"
SITE = "https://lowcodeapi.com"
STRICT = "lowcodeapi.strict_urls"


def _mint(ids: Ids) -> str:
    return f"at_r{ids.hex(32)}"


TOKEN = Credential("lowcodeapi", WELL_KNOWN, _mint)


class Gateway(Provider):
    """LowCodeAPI in front of one upstream, at /lowcodeapi/{id}."""

    json_type = "application/json; charset=utf-8"
    cors = "reflect"
    max_body = 100 * 2**20
    objects_only = True

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.name, self.mount = upstream.id, f"/lowcodeapi/{upstream.id}"
        self.title, self.summary = f"{upstream.title} through LowCodeAPI", upstream.description
        self.contract_file = Path(__file__).parent / f"{upstream.id}.yaml"
        self.endpoints = {**upstream.endpoints, "get_base": self._base} if upstream.base else upstream.endpoints
        self.events, self.resources = upstream.events, upstream.resources
        self.credentials = (TOKEN, upstream.credential)

    def secret(self, call: ApiCall) -> tuple[str, str] | None:
        """The query's api_token, whatever else may be in the body or a header (C:54, C:198)."""
        if call.operation.id == "get_base":
            return None
        token = call.query.get("api_token")
        if not isinstance(token, str) or not token.startswith("at_"):
            raise ProviderError("unauthorized")
        return TOKEN.kind, token

    def prepare(self, call: ApiCall) -> None:
        """Refuse an account without the upstream's key, and write null for path parameters that were left out."""
        if not call.world.credentials.get(self.upstream.credential.kind):
            raise ProviderError("not_connected")
        for name in literal_places(call.operation):
            call.query.setdefault(name, "null")

    def success(self, call: ApiCall, response: ApiResponse) -> ApiResponse:
        """The envelope around JSON; anything else goes through as it is, and redirects are the gateway's own."""
        if response.content_type != JSON or response.status == 302:
            return response
        body: Any = "" if response.body is None else response.body
        told = body.get("message") if isinstance(body, dict) else None
        return ApiResponse(
            {
                "message": told or COMPLETED,
                "provider": self.upstream.id,
                "result": body,
                "response_headers": self._headers(response),
            }
        )

    def failure(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """The gateway's own refusal, or the upstream's error in its envelope, with its status."""
        if own := refuse(self.upstream.id, call, problem):
            return own
        answer = self.upstream.render(problem)
        told = answer.body.get("message") if isinstance(answer.body, dict) else None
        envelope = {
            "message": told or f"Error received from the {self.upstream.id} API",
            "provider": self.upstream.id,
            "error": answer.body,
            "headers": self._headers(answer),
        }
        return ApiResponse(envelope, answer.status)

    def refusal(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """The upstream's error without the envelope."""
        return self.upstream.render(problem)

    def early(self, method: str, path: str, headers: Mapping[str, str]) -> ApiResponse | None:
        """The definition, the metadata, and the base address in every method but GET, which the contract has."""
        if path == "/definition" and method in ("GET", "POST"):
            return ApiResponse(self._definition)
        if path == "/metadata" and method == "GET":
            return ApiResponse(metadata(self.upstream.id, self.contract))
        if path == "/" and method in ("POST", "PUT", "PATCH", "DELETE"):
            return self._redirect(headers)
        if path == "/" and method == "GET" and not self.upstream.base:
            return self._redirect(headers)
        return super().early(method, path, headers)

    def rewrite(self, path: str, query: str, world: World) -> tuple[str, str]:
        """Take `/v1/models&api_token=...`, which the document writes (A:26, A:83), for what it means."""
        literal, ampersand, stray = path.partition("&")
        if not ampersand or world.settings.get(STRICT):
            return path, query
        return literal, f"{stray}&{query}"

    def fill(self, world: World, kind: Kind) -> None:
        """What the upstream keeps."""
        world.settings.setdefault(STRICT, False)
        self.upstream.fill(world, kind)

    def limit_headers(self, allowance: Allowance) -> dict[str, str]:
        """None: the documents name no header."""
        return {}

    @cached_property
    def _definition(self) -> dict[str, Any]:
        return definition(self.upstream.id, self.upstream.description, self.contract)

    def _base(self, call: ApiCall) -> ApiResponse:
        return self._redirect(call.headers)

    def _redirect(self, headers: Mapping[str, str]) -> ApiResponse:
        """To LowCodeAPI's site, before any token is looked at (A:159)."""
        where = f"{SITE}?redirected_from={headers.get('host', 'localhost')}/{self.upstream.id}"
        return ApiResponse(None, 302, {"location": where})

    def _headers(self, answer: ApiResponse) -> dict[str, str]:
        return {"content-type": answer.content_type, **self.upstream.headers, **answer.headers}
