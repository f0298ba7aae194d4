"""The log of a build, which comes over a WebSocket. `websockets` is imported when a log is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from ..errors import APIConnectionError, APIResponseError
from ..session import ClientSession
from .models import LogLine

__all__ = ["follow", "follow_async"]

REAL = "https://api.banana.dev"
BUILDS = "wss://build.banana.dev"


def follow(session: ClientSession, build_id: str) -> Iterator[LogLine]:
    """Iterate over the lines of a build's log. Raises APIConnectionError if it is refused or breaks off."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    url = _url(session, build_id)
    try:
        with connect(url, additional_headers=_headers(session), open_timeout=session.timeout) as socket:
            for frame in socket:
                yield _line(url, frame)
    except (OSError, WebSocketException) as error:
        raise _broken(url, error) from None


async def follow_async(session: ClientSession, build_id: str) -> AsyncIterator[LogLine]:
    """Iterate over the lines of a build's log, for asyncio. Raises as `follow` does."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    url = _url(session, build_id)
    try:
        async with connect(url, additional_headers=_headers(session), open_timeout=session.timeout) as socket:
            async for frame in socket:
                yield _line(url, frame)
    except (OSError, WebSocketException) as error:
        raise _broken(url, error) from None


def _url(session: ClientSession, build_id: str) -> str:
    base = BUILDS if session.base_url == REAL else "ws" + session.base_url.removeprefix("http")
    return f"{base}/ws/logs/{quote(build_id, safe='')}"


def _headers(session: ClientSession) -> dict[str, str]:
    return {"X-Banana-API-Key": session.key_for()}


def _line(url: str, frame: Any) -> LogLine:
    try:
        return LogLine.model_validate_json(frame)
    except ValidationError:
        raise APIResponseError("a line of the log does not fit", request=f"GET {url}", body=frame) from None


def _broken(url: str, error: Exception) -> APIConnectionError:
    return APIConnectionError(f"{type(error).__name__}: {' '.join(str(error).split())}", request=f"GET {url}")
