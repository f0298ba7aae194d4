"""LowCodeAPI in front of one API: token, addresses, envelope.

Observed in LowCodeAPI's published source, where the documents do not say more: the upstream's status becomes 200 in
every success and stays itself in an error; path parameters travel in the query under a literal name (the old format)
or in the path (the new one) and are not encoded on the way; one that is left out arrives as the word null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bananastand.contracts.contract import Contract
from bananastand.contracts.errors import Problem, ProviderError
from bananastand.contracts.request import ApiRequest
from bananastand.contracts.response import JSON, ApiResponse

from .definition import definition, literal_places, metadata
from .refusals import refuse

__all__ = ["JSON_TYPE", "MAX_BODY", "Gateway", "api_token"]

JSON_TYPE = "application/json; charset=utf-8"
MAX_BODY = 100 * 2**20
COMPLETED = "Request completed"
SITE = "https://lowcodeapi.com"


def api_token(request: ApiRequest) -> str:
    """Return the query's api_token, whatever else is in the body or a header (C:54, C:198).

    Raises:
        ProviderError: unauthorized.
    """
    token = request.query.get("api_token")
    if not isinstance(token, str) or not token.startswith("at_"):
        raise ProviderError("unauthorized")
    return token


class Gateway:
    """LowCodeAPI in front of one API.

    Args:
        id: The API's name in addresses and envelopes.
        description: The API's description in /definition.
        contract: The contract of its operations.
        headers: Headers of the API's own responses beside their content type.
        base: Whether the contract has the base address as an operation.
    """

    def __init__(
        self,
        id: str,
        description: str,
        contract: Contract,
        *,
        headers: Mapping[str, str] | None = None,
        base: bool = True,
    ) -> None:
        self.id, self._description, self._contract = id, description, contract
        self._upstream_headers, self._base = dict(headers or {}), base
        self._literals = {operation.template.lower(): operation.template for operation in contract.operations}

    def envelope(self, response: ApiResponse) -> ApiResponse:
        """Put the envelope around a success in JSON; other content passes unchanged, and so does a redirect."""
        if response.content_type != JSON or response.status == 302:
            return response
        body: Any = "" if response.body is None else response.body
        message = body.get("message") if isinstance(body, dict) else None
        return ApiResponse(
            {
                "message": message or COMPLETED,
                "provider": self.id,
                "result": body,
                "response_headers": self._headers(response),
            }
        )

    def error_envelope(self, response: ApiResponse) -> ApiResponse:
        """Put the envelope around an error of the API; its status stays."""
        message = response.body.get("message") if isinstance(response.body, dict) else None
        envelope = {
            "message": message or f"Error received from the {self.id} API",
            "provider": self.id,
            "error": response.body,
            "headers": self._headers(response),
        }
        return ApiResponse(envelope, response.status)

    def refusal(self, problem: Problem, request: ApiRequest | None) -> ApiResponse | None:
        """Return LowCodeAPI's own refusal; None where the API is the one to answer."""
        return refuse(self.id, request, problem)

    def early(self, method: str, path: str, headers: Mapping[str, str], base: str) -> ApiResponse | None:
        """Return /definition, /metadata, or the redirect of the base address in methods that no contract has."""
        path = self.as_express_matches(path).lower()
        if path == "/definition" and method in ("GET", "POST"):
            return ApiResponse(definition(self._description, self._contract, base))
        if path == "/metadata" and method == "GET":
            return ApiResponse(metadata(self.id, self._contract))
        if path == "/" and (method in ("POST", "PUT", "PATCH", "DELETE") or (method == "GET" and not self._base)):
            return self.redirect(headers)
        return None

    def redirect(self, headers: Mapping[str, str]) -> ApiResponse:
        """Redirect to LowCodeAPI's site, before any token is looked at (A:159)."""
        location = f"{SITE}?redirected_from={headers.get('host', 'localhost')}/{self.id}"
        return ApiResponse(None, 302, {"location": location})

    def split_stray_query(self, path: str, query: str) -> tuple[str, str]:
        """Split a query that follows the path after an ampersand: `/v1/models&api_token=...` (A:26, A:83)."""
        literal, ampersand, stray = path.partition("&")
        return (literal, f"{stray}&{query}") if ampersand else (path, query)

    def as_express_matches(self, path: str) -> str:
        """Return the contract's path to which Express routes this one: a trailing slash and letter case are free."""
        path = path[:-1] if path.endswith("/") and path != "/" else path
        return self._literals.get(path.lower(), path)

    def fill_path_parameters(self, request: ApiRequest) -> None:
        """Set path parameters that the query leaves out to the word null."""
        for name in literal_places(request.operation):
            request.query.setdefault(name, "null")

    def _headers(self, response: ApiResponse) -> dict[str, str]:
        return {"content-type": response.content_type, **self._upstream_headers, **response.headers}
