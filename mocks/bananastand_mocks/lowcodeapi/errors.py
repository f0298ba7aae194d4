"""What the gateway itself refuses, in its exact words, as its published source has them. Knows no upstream's errors."""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.redaction import redact

__all__ = ["refuse"]

TOKEN_WANTED = "A valid API token is required to access this API."
TOKEN_UNKNOWN = "Invalid api_token"
NOT_CONNECTED = "No access token is associated with this api_token, authorize your {provider} with LowCodeAPI."


def refuse(provider: str, call: ApiCall | None, problem: Problem) -> ApiResponse | None:
    """The gateway's own error; None where the upstream is the one to answer."""
    match problem.condition:
        case "unknown_route" | "wrong_method":
            return ApiResponse({"message": "Not Found"}, 404)
        case "malformed_json" | "too_deep":
            return ApiResponse({"message": problem.message}, 400)
        case "too_large":
            return ApiResponse({"message": "request entity too large"}, 413)
        case "unauthorized":
            error = {"code": 401, "logging": _logging(call)}
            return ApiResponse({"message": TOKEN_WANTED, "provider": provider, "error": error}, 401)
        case "unknown_credential":
            return ApiResponse({"message": TOKEN_UNKNOWN, "provider": provider, "error": {"code": 403}}, 403)
        case "not_connected":
            text = NOT_CONNECTED.format(provider=provider)
            return ApiResponse({"message": text, "provider": provider, "error": {"code": 403}}, 403)
        case _:
            return None


def _logging(call: ApiCall | None) -> dict[str, Any]:
    """The request as the gateway shows it beside the 401; keys in it are taken out here."""
    assert call is not None, "a token is asked for after the operation was found"
    return {
        "method": call.method,
        "status_code": 401,
        "message": TOKEN_WANTED,
        "path": f"{call.root}{call.target}",
        "headers": redact(call.headers),
        "query": redact(call.query),
    }
