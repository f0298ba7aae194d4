"""Sends requests to one implementation; apart from `forward`, the one module that sends HTTP."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import httpx2

from .judge import ReceivedResponse

__all__ = ["ConformanceSession", "ResponseBroken"]

MAX_RESPONSE = 64 * 2**20  # bytes


class ResponseBroken(Exception):
    """There is no response, or none that came to its end.

    Attributes:
        has_begun: Whether the response had begun.
    """

    def __init__(self, reason: str, *, has_begun: bool = False) -> None:
        super().__init__(reason)
        self.has_begun = has_begun


class ConformanceSession:
    """Connections to one implementation, without redirects.

    Args:
        timeout: Seconds for a whole response.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._http = httpx2.Client(timeout=timeout, follow_redirects=False)

    def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> ReceivedResponse:
        """Send a request and read its response. Raises ResponseBroken."""
        until, body, has_begun = time.monotonic() + self._timeout, bytearray(), False
        try:
            with self._http.stream(method, url, headers=dict(headers), content=content) as response:
                has_begun = True
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_RESPONSE or time.monotonic() > until:
                        raise ResponseBroken("the answer is too large or too slow", has_begun=True)
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeEncodeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ResponseBroken(reason, has_begun=has_begun) from None
        names = {name.lower(): value for name, value in response.headers.items()}
        return ReceivedResponse(response.status_code, names, bytes(body))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
