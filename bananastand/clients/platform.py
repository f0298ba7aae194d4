"""Client of the platform's own HTTP API, /stand/v1, which the command line uses."""

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

__all__ = [
    "AppResponse",
    "PlatformClient",
    "PlatformClientError",
    "PlatformTimeout",
    "PlatformUnreachable",
    "StreamedResponse",
]

PREFIX = "/stand/v1"


class PlatformClientError(Exception):
    """The platform answered with an error.

    Attributes:
        status: HTTP status, 0 if there was none.
        code: The platform's name of the error.
    """

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class PlatformUnreachable(PlatformClientError):
    """There was no response, or the connection broke."""


class PlatformTimeout(PlatformClientError):
    """The app did not answer within the caller's timeout."""


class AppResponse(NamedTuple):
    """An app's response to a call."""

    status: int
    media_type: str
    body: bytes


class StreamedResponse(NamedTuple):
    """An app's response to a call while it arrives.

    Attributes:
        status: HTTP status.
        media_type: Its Content-Type.
        streamed: The app sends the body piece by piece.
        pieces: The body.
    """

    status: int
    media_type: str
    streamed: bool
    pieces: Iterator[bytes]


class PlatformClient:
    """A blocking client of one platform.

    >>> with PlatformClient("http://127.0.0.1:8750", key="...") as platform:
    ...     platform.get("/projects")["projects"]

    Args:
        url: URL of the platform.
        key: API key.
        timeout: Seconds for a request of the platform itself.
    """

    def __init__(self, url: str, key: str, *, timeout: float = 60.0) -> None:
        self.url, self.key = url.rstrip("/"), key
        # A platform on this machine is called directly, even if the environment names a proxy.
        is_local = "://127." in self.url or "://localhost" in self.url or "://[::1]" in self.url
        self._http = httpx2.Client(
            headers={"X-Banana-API-Key": key}, timeout=httpx2.Timeout(timeout, connect=10.0), trust_env=not is_local
        )

    def get(self, path: str) -> dict[str, Any]:
        """GET the JSON object at a path below /stand/v1. Raises PlatformClientError."""
        return self._object("GET", path)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """POST a JSON object and return the response's. Raises PlatformClientError."""
        return self._object("POST", path, json=dict(body or {}))

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """PATCH with a JSON object and return the response's. Raises PlatformClientError."""
        return self._object("PATCH", path, json=dict(body))

    def delete(self, path: str) -> dict[str, Any]:
        """DELETE a resource and return the response's JSON object. Raises PlatformClientError."""
        return self._object("DELETE", path)

    def upload(self, path: str, archive: Path, order: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Upload a file.

        Args:
            path: Path below /stand/v1.
            archive: File to send.
            order: What to do with it; sent in a header, because URLs are logged.

        Raises:
            PlatformClientError: The platform refused, or there was no response.
        """
        headers = {"X-Stand-Order": base64.b64encode(json.dumps(dict(order or {})).encode()).decode()}
        with archive.open("rb") as file:
            return self._object("POST", path, content=file, headers=headers, timeout=None)

    def lines(self, path: str, *, follow: bool = False, last: int | None = None) -> Iterator[dict[str, Any]]:
        """Iterate over JSON lines.

        Args:
            path: Path below /stand/v1.
            follow: Wait for further lines until the platform ends them.
            last: Begin with this many of the last lines.

        Raises:
            PlatformClientError: The platform refused, or there was no response.
        """
        query = {"follow": "true"} if follow else {}
        query |= {"last": str(last)} if last is not None else {}
        try:
            with self._http.stream("GET", self._url(path), params=query, timeout=None) as response:
                if not response.is_success:
                    response.read()
                    raise _error_of(response)
                for line in response.iter_lines():
                    if line.strip():
                        yield cast("dict[str, Any]", json.loads(line))
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None
        except ValueError:
            raise PlatformClientError(f"{self.url} answered a line that is not JSON") from None

    def call(self, project: str, body: Any, route: str = "") -> AppResponse:
        """Call a project's app and return its response, an error of the app included.

        Args:
            project: Name or model key.
            body: The inputs, any JSON value.
            route: Route of the app's handler.

        Raises:
            PlatformClientError: There was no response, or the connection broke.
        """
        with self.open_call(project, body, route) as response:
            return AppResponse(response.status, response.media_type, b"".join(response.pieces))

    @contextlib.contextmanager
    def open_call(
        self, project: str, body: Any, route: str = "", *, timeout: float | None = None
    ) -> Generator[StreamedResponse]:
        """Call a project's app and read its response while it arrives. Leaving the block early cancels the call.

        Args:
            project: Name or model key.
            body: The inputs, any JSON value.
            route: Route of the app's handler.
            timeout: Seconds for the whole response; None waits for any time.

        Yields:
            The response.

        Raises:
            PlatformTimeout: The timeout is over.
            PlatformClientError: There was no response, or the connection broke.
        """
        path, deadline = f"/projects/{project}/call/{route.lstrip('/')}", time.monotonic() + (timeout or 0.0)
        limits = httpx2.Timeout(timeout, connect=10.0)

        def pieces(response: httpx2.Response) -> Iterator[bytes]:
            for piece in response.iter_bytes():
                if timeout is not None and time.monotonic() > deadline:
                    raise PlatformTimeout(f"{project} did not answer in {timeout:g} s")
                yield piece

        try:
            with self._http.stream("POST", self._url(path), json=body, timeout=limits) as response:
                media_type, streamed = (
                    response.headers.get("content-type", ""),
                    "content-length" not in response.headers,
                )
                yield StreamedResponse(response.status_code, media_type, streamed, pieces(response))
        except httpx2.ReadTimeout:
            raise PlatformTimeout(f"{project} did not answer in {timeout:g} s") from None
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

    def _url(self, path: str) -> str:
        return f"{self.url}{PREFIX}{path}"

    def _object(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, self._url(path), **options)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._unreachable(error) from None
        if not response.is_success:
            raise _error_of(response)
        try:
            return cast("dict[str, Any]", response.json())
        except ValueError:
            raise PlatformClientError(
                f"{self.url} answered something that is not JSON; check that the URL is a platform's"
            ) from None

    def _unreachable(self, error: Exception) -> PlatformUnreachable:
        reason = " ".join(str(error).split()) or type(error).__name__
        return PlatformUnreachable(f"no platform answers at {self.url} ({reason}); bananastand up starts one")


def _error_of(response: httpx2.Response) -> PlatformClientError:
    try:
        error = cast("dict[str, Any]", response.json())["error"]
        message, code = str(error["message"]), str(error.get("code", ""))
    except (ValueError, KeyError, TypeError):
        message, code = f"answered {response.status_code}: {response.text[:200]}", ""
    return PlatformClientError(message, response.status_code, code)
