"""Asks an app or a language model that runs somewhere. The one module of the mocks that speaks HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

__all__ = ["AppAnswer", "Late", "Unreachable", "post"]

CONNECT = 5.0  # seconds


class Unreachable(Exception):
    """There is no answer; the text is the kind of error."""


class Late(Unreachable):
    """The app takes longer than it may."""


@dataclass(frozen=True, slots=True)
class AppAnswer:
    """What the app said."""

    status: int
    content_type: str
    content: bytes
    json: Any = None  # None also where it is none


async def post(
    url: str,
    *,
    json: Any = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None,
) -> AppAnswer:
    """POST a value, or bytes that are JSON already. Raises Unreachable."""
    body: dict[str, Any] = {"json": json} if content is None else {"content": content}
    limits = httpx2.Timeout(timeout, connect=CONNECT if timeout is None else min(CONNECT, timeout))
    try:
        async with httpx2.AsyncClient(timeout=limits) as http:
            answer = await http.post(url, headers={"content-type": "application/json", **(headers or {})}, **body)
    except httpx2.TimeoutException as error:
        raise Late(type(error).__name__) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Unreachable(type(error).__name__) from error
    try:
        value: Any = answer.json()
    except ValueError:
        value = None
    kind = answer.headers.get("content-type", "text/plain; charset=utf-8")
    return AppAnswer(answer.status_code, kind, answer.content, value)
