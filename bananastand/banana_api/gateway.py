"""Banana.dev as LowCodeAPI offers it (document A): its operations behind LowCodeAPI's token and envelope."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bananastand.asgi.bodies import BodyReservation
from bananastand.contracts.errors import Problem
from bananastand.contracts.request import ApiRequest
from bananastand.contracts.response import ApiResponse
from bananastand.lowcodeapi.express_body import decode_body
from bananastand.lowcodeapi.gateway import JSON_TYPE, MAX_BODY, Gateway, api_token

from . import account, deployments, models, runs, usage
from .api import ApiFunction, BananaApi
from .errors import render
from .runtime import Runtime

__all__ = ["DESCRIPTION", "OPERATIONS", "GatewayApi"]

DESCRIPTION = "Runs, models, account, usage and deployments"
OPERATIONS: Mapping[str, ApiFunction] = {
    "start_run": runs.start_run,
    "check_run": runs.check_run,
    "run": runs.run,
    "list_models": models.list_models,
    "get_model": models.get_model,
    "get_account": account.get_account,
    "get_usage": usage.get_usage,
    "deploy_model": deployments.deploy_model,
}


class GatewayApi(BananaApi):
    """bananadev, at /lowcodeapi/bananadev."""

    mount = "/lowcodeapi/bananadev"
    contract_file = Path(__file__).with_name("bananadev.yaml")
    json_type = JSON_TYPE
    cors = "reflect"
    max_body = MAX_BODY
    objects_only = True

    def __init__(self) -> None:
        self._gateway = Gateway("bananadev", DESCRIPTION, self.contract)
        self.operations = {**OPERATIONS, "get_base": lambda runtime, request: self._gateway.redirect(request.headers)}

    def key(self, request: ApiRequest) -> str | None:
        """Return the api_token; None at the base address.

        Raises:
            ProviderError: unauthorized.
        """
        return None if request.operation.id == "get_base" else api_token(request)

    def success(self, response: ApiResponse) -> ApiResponse:
        """Put LowCodeAPI's envelope around a response."""
        return self._gateway.envelope(response)

    def failure(self, problem: Problem, request: ApiRequest | None, runtime: Runtime) -> ApiResponse:
        """Render LowCodeAPI's own refusal, or Banana's error in LowCodeAPI's envelope."""
        return self._gateway.refusal(problem, request) or self._gateway.error_envelope(render(problem))

    def early(self, method: str, path: str, headers: Mapping[str, str], base: str) -> ApiResponse | None:
        """Return LowCodeAPI's description of the API, its redirects, or the contract."""
        return self._gateway.early(method, path, headers, base) or super().early(method, path, headers, base)

    def rewrite(self, path: str, query: str) -> tuple[str, str]:
        """Read `/v1/models&api_token=...`, which the document writes (A:26, A:83), and `/V1/models/` as meant."""
        path, query = self._gateway.split_stray_query(path, query)
        return self._gateway.as_express_matches(path), query

    def decode_body(self, raw: bytes, headers: Mapping[str, str], reservation: BodyReservation) -> bytes:
        """Inflate and decode a JSON body, as Express does."""
        return decode_body(raw, headers, self.max_body, reservation)

    def prepare(self, request: ApiRequest) -> None:
        """Set path parameters that were left out to the word null, as LowCodeAPI does."""
        self._gateway.fill_path_parameters(request)
