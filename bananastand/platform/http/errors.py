"""Errors as the platform's own API and the fronts answer them: {"error": {"code", "message"}}."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from bananastand.asgi.responses import error_body

from ..errors import PlatformError, TooBusy

__all__ = ["error_response", "json_error"]


def json_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return an error as a response."""
    return JSONResponse(error_body(code, message), status, headers)


def error_response(error: PlatformError) -> JSONResponse:
    """Return an error of the platform as a response, with Retry-After if the request may succeed later."""
    headers = {"retry-after": str(error.retry_after)} if isinstance(error, TooBusy) else None
    return json_error(error.status, error.code, str(error), headers)
