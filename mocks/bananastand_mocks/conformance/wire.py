"""Sends a request and reads its answer. The one module here that speaks HTTP; knows no provider."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import httpx2

from .judge import Got

__all__ = ["Broken", "Wire"]

LARGEST = 64 * 2**20  # bytes of an answer


class Broken(Exception):
    """No answer, or none that came to its end; the text says why. `answered` is whether it had begun."""

    def __init__(self, why: str, *, answered: bool = False) -> None:
        super().__init__(why)
        self.answered = answered


class Wire:
    """Connections to one implementation. Follows no redirect; `timeout` is in seconds and for a whole answer."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._http = httpx2.Client(timeout=timeout, follow_redirects=False)

    def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Got:
        """Raises Broken."""
        until, body, answered = time.monotonic() + self._timeout, bytearray(), False
        try:
            with self._http.stream(method, url, headers=dict(headers), content=content) as answer:
                answered = True
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > LARGEST or time.monotonic() > until:
                        raise Broken("the answer is too large or too slow", answered=True)
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeEncodeError) as error:
            told = " ".join(str(error).split()) or type(error).__name__
            raise Broken(told, answered=answered) from None
        return Got(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, bytes(body))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
