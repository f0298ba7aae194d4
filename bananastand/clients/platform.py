"""The platform's own HTTP API, /stand/v1, as the command line speaks it. Knows its errors and its streams."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import httpx2

__all__ = ["Answer", "PlatformClient", "StandError", "StandTimeout", "StandUnreachable", "StreamedAnswer"]

PREFIX = "/stand/v1"


class StandError(Exception):
    """The stand refused; `status` is HTTP's, `code` its own word for it."""

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class StandUnreachable(StandError):
    """Nothing answered, or the connection broke."""


class StandTimeout(StandError):
    """The app did not answer in the seconds that the caller allowed."""


class Answer(NamedTuple):
    """What an app answered to a call."""

    status: int
    kind: str  # its content type
    body: bytes


class StreamedAnswer(NamedTuple):
    """What an app answers to a call, as it comes. streamed: the app sends it piece by piece."""

    status: int
    kind: str  # its content type
    streamed: bool
    pieces: Iterator[bytes]


class PlatformClient:
    """
    >>> with PlatformClient("http://127.0.0.1:8750", key="...") as stand:
    ...     stand.get("/projects")["projects"]
    """

    def __init__(self, url: str, key: str, *, timeout: float = 60.0) -> None:
        self.url, self.key = url.rstrip("/"), key
        # A stand is called where it is said to be: a proxy of the environment is not asked for one on this machine.
        local = "://127." in self.url or "://localhost" in self.url or "://[::1]" in self.url
        self._http = httpx2.Client(
            headers={"X-Banana-API-Key": key}, timeout=httpx2.Timeout(timeout, connect=10.0), trust_env=not local
        )

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at a path below /stand/v1. Raises StandError."""
        return self._object("GET", path)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """POST a JSON object. Raises StandError."""
        return self._object("POST", path, json=dict(body or {}))

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """PATCH with a JSON object. Raises StandError."""
        return self._object("PATCH", path, json=dict(body))

    def delete(self, path: str) -> dict[str, Any]:
        """DELETE. Raises StandError."""
        return self._object("DELETE", path)

    def upload(self, path: str, archive: Path, order: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """POST a file as it is read; what goes with it is a header, as addresses are logged. Raises StandError."""
        headers = {"X-PlatformClient-Order": base64.b64encode(json.dumps(dict(order or {})).encode()).decode()}
        with archive.open("rb") as file:
            return self._object("POST", path, content=file, headers=headers, timeout=None)

    def lines(self, path: str, *, follow: bool = False, last: int | None = None) -> Iterator[dict[str, Any]]:
        """The JSON lines at a path, or the last ones; followed until the stand ends them. Raises StandError."""
        query = {"follow": "true"} if follow else {}
        query |= {"last": str(last)} if last is not None else {}
        try:
            with self._http.stream("GET", self._at(path), params=query, timeout=None) as response:
                if not response.is_success:
                    response.read()
                    raise _refused(response)
                for line in response.iter_lines():
                    if line.strip():
                        yield cast("dict[str, Any]", json.loads(line))
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None
        except ValueError:
            raise StandError(f"{self.url} answered a line that is not JSON") from None

    def call(self, project: str, body: Any, route: str = "") -> Answer:
        """POST a JSON value to a route of a project's app. Raises StandError; an app's own error is an answer."""
        with self.open_call(project, body, route) as answer:
            return Answer(answer.status, answer.kind, b"".join(answer.pieces))

    @contextlib.contextmanager
    def open_call(
        self, project: str, body: Any, route: str = "", *, timeout: float | None = None
    ) -> Generator[StreamedAnswer]:
        """The same, as it comes. Leaving the block before the end cancels the call.

        Args:
            project: Its name or model key.
            body: The inputs, any JSON value.
            route: Of the app's handler.
            timeout: Seconds for the whole answer, None for any time.

        Raises:
            StandTimeout: The seconds are over.
            StandError: Nothing answers, or the connection breaks.
        """
        path, until = f"/projects/{project}/call/{route.lstrip('/')}", time.monotonic() + (timeout or 0.0)
        limits = httpx2.Timeout(timeout, connect=10.0)

        def pieces(response: httpx2.Response) -> Iterator[bytes]:
            for piece in response.iter_bytes():
                if timeout is not None and time.monotonic() > until:
                    raise StandTimeout(f"{project} did not answer in {timeout:g} s")
                yield piece

        try:
            with self._http.stream("POST", self._at(path), json=body, timeout=limits) as response:
                kind, streamed = response.headers.get("content-type", ""), "content-length" not in response.headers
                yield StreamedAnswer(response.status_code, kind, streamed, pieces(response))
        except httpx2.ReadTimeout:
            raise StandTimeout(f"{project} did not answer in {timeout:g} s") from None
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _at(self, path: str) -> str:
        return f"{self.url}{PREFIX}{path}"

    def _object(self, method: str, path: str, **words: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, self._at(path), **words)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._unreachable(error) from None
        if not response.is_success:
            raise _refused(response)
        try:
            return cast("dict[str, Any]", response.json())
        except ValueError:
            raise StandError(f"{self.url} answered something that is not JSON; is it a stand?") from None

    def _unreachable(self, error: Exception) -> StandUnreachable:
        reason = " ".join(str(error).split()) or type(error).__name__
        return StandUnreachable(f"no stand answers at {self.url} ({reason}); bananastand up starts one")


def _refused(response: httpx2.Response) -> StandError:
    try:
        error = cast("dict[str, Any]", response.json())["error"]
        message, code = str(error["message"]), str(error.get("code", ""))
    except (ValueError, KeyError, TypeError):
        message, code = f"answered {response.status_code}: {response.text[:200]}", ""
    return StandError(message, response.status_code, code)
