"""Posts to an app or a language model that runs somewhere; apart from `conformance`, the one module that sends HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

__all__ = ["AppResponse", "AppTimeout", "AppUnreachable", "post"]

CONNECT_SECONDS = 5.0


class AppUnreachable(Exception):
    """There is no response; the text is the kind of error."""


class AppTimeout(AppUnreachable):
    """The app takes longer than it may."""


@dataclass(frozen=True, slots=True)
class AppResponse:
    """The response of an app.

    Attributes:
        status: The HTTP status.
        content_type: The value of that header.
        content: The body.
        json: The body's value; None where it is no JSON.
    """

    status: int
    content_type: str
    content: bytes
    json: Any = None


async def post(
    url: str,
    *,
    json: Any = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None,
) -> AppResponse:
    """Send a POST request.

    Args:
        url: The address.
        json: The body as a value.
        content: The body as bytes that are JSON already; then `json` is ignored.
        headers: Further headers.
        timeout: Seconds for each step of the request; None for no limit but that of the connection.

    Raises:
        AppTimeout: It took too long.
        AppUnreachable: There is no response for another reason.
    """
    body: dict[str, Any] = {"json": json} if content is None else {"content": content}
    connect = CONNECT_SECONDS if timeout is None else min(CONNECT_SECONDS, timeout)
    try:
        async with httpx2.AsyncClient(timeout=httpx2.Timeout(timeout, connect=connect)) as http:
            response = await http.post(url, headers={"content-type": "application/json", **(headers or {})}, **body)
    except httpx2.TimeoutException as error:
        raise AppTimeout(type(error).__name__) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise AppUnreachable(type(error).__name__) from error
    try:
        value: Any = response.json()
    except ValueError:
        value = None
    content_type = response.headers.get("content-type", "text/plain; charset=utf-8")
    return AppResponse(response.status_code, content_type, response.content, value)
