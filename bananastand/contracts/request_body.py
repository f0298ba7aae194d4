"""Reads the body of a request to an API within the API's limit and the server's memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bananastand.asgi.bodies import BodyReservation, BodyTooLarge, BudgetExceeded, read_body

from .errors import ProviderError

__all__ = ["read_request_body"]

RETRY_SECONDS = 5  # after which a client may send again what found no memory
DRAIN = 32 * 2**20  # bytes of a body that is too large; after them the connection is closed


async def read_request_body(
    receive: Callable[[], Awaitable[Any]],
    method: str,
    headers: Mapping[str, str],
    limit: int,
    reservation: BodyReservation,
) -> bytes:
    """Read a body; a GET has one only where its headers announce it.

    Args:
        receive: ASGI's, of the request.
        method: The HTTP method.
        headers: The request's headers, their names in lower case.
        limit: Bytes that the body may have.
        reservation: Counts the body against the server's memory.

    Raises:
        ProviderError: too_large, or fault with status 503 where the server has no memory for the body.
        ClientDisconnected: The client left first.
    """
    if method in ("GET", "HEAD") and "content-length" not in headers and "transfer-encoding" not in headers:
        return b""
    try:
        return await read_body(receive, limit, reservation, drain=DRAIN)
    except BodyTooLarge:
        raise ProviderError("too_large", "request entity too large", limit=limit) from None
    except BudgetExceeded:
        message = "too much is being sent: try again later"
        raise ProviderError("fault", message, status=503, retry_after=RETRY_SECONDS) from None
