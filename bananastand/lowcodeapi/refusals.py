"""LowCodeAPI's own refusals, in the exact words of its published source."""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import Problem
from bananastand.contracts.redaction import redact
from bananastand.contracts.request import ApiRequest
from bananastand.contracts.response import ApiResponse

__all__ = ["refuse"]

TOKEN_REQUIRED = "A valid API token is required to access this API."
TOKEN_UNKNOWN = "Invalid api_token"
NOT_CONNECTED = "No access token is associated with this api_token, authorize your {provider} with LowCodeAPI."


def refuse(provider: str, request: ApiRequest | None, problem: Problem) -> ApiResponse | None:
    """Return LowCodeAPI's own refusal; None where the API behind it is the one to answer.

    Args:
        provider: The API's name.
        request: The request; None where its address names no operation.
        problem: Why it is refused.
    """
    match problem.condition:
        case "unknown_route" | "wrong_method":
            return ApiResponse({"message": "Not Found"}, 404)
        case "malformed_json" | "too_deep":
            return ApiResponse({"message": problem.message}, 400)
        case "unsupported_encoding":
            return ApiResponse({"message": problem.message}, 415)
        case "too_large":
            return ApiResponse({"message": "request entity too large"}, 413)
        case "unauthorized":
            error = {"code": 401, "logging": _logging(request)}
            return ApiResponse({"message": TOKEN_REQUIRED, "provider": provider, "error": error}, 401)
        case "unknown_credential":
            return ApiResponse({"message": TOKEN_UNKNOWN, "provider": provider, "error": {"code": 403}}, 403)
        case "not_connected":
            text = NOT_CONNECTED.format(provider=provider)
            return ApiResponse({"message": text, "provider": provider, "error": {"code": 403}}, 403)
        case _:
            return None


def _logging(request: ApiRequest | None) -> dict[str, Any]:
    """The request as LowCodeAPI shows it beside the 401, here without the keys in it."""
    assert request is not None, "a token is required only after the operation was found"
    return {
        "method": request.method,
        "status_code": 401,
        "message": TOKEN_REQUIRED,
        "path": f"{request.root}{request.target}",
        "headers": redact(request.headers),
        "query": redact(request.query),
    }
