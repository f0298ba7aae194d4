"""Client of a running Potassium app, by its URL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import httpx2

__all__ = ["AppError", "AppUnreachable", "Event", "PotassiumApp"]


class AppError(Exception):
    """The app answered with an error.

    Attributes:
        status: HTTP status, or None inside a stream.
        body: The response, parsed if it is JSON.
    """

    def __init__(self, message: str, status: int | None = None, body: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class AppUnreachable(AppError):
    """There was no response, or the connection broke before its end."""


class Event(NamedTuple):
    """A server-sent event; `data` is its JSON."""

    name: str
    data: dict[str, Any]


class PotassiumApp:
    """A blocking client of one app.

    >>> with PotassiumApp("http://127.0.0.1:8000") as app:
    ...     picture = app.run({"prompt": "a red apple"})["output"]

    Args:
        url: URL of the app, with or without http://.
        timeout: Seconds without a byte after which AppUnreachable is raised; a cold start on a GPU is slow.
    """

    def __init__(self, url: str, *, timeout: float = 600.0) -> None:
        try:
            self.url = httpx2.URL(url if "://" in url else f"http://{url}")
        except httpx2.InvalidURL as error:
            raise AppUnreachable(f"{url} is no URL: {error}") from None
        self._http = httpx2.Client(timeout=httpx2.Timeout(timeout, connect=10.0))

    def run(self, body: object, path: str = "") -> dict[str, Any]:
        """POST a JSON value to a route and return the JSON object of the response. Raises AppError."""
        try:
            response = self._http.post(self._url_of(path), json=body)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None
        return _json_object(response)

    def stream(self, body: object, path: str = "stream") -> Iterator[Event]:
        """POST a JSON value to a route and iterate over its server-sent events. An event `error` raises AppError."""
        try:
            with self._http.stream("POST", self._url_of(path), json=body) as response:
                if not response.is_success:
                    response.read()
                    _json_object(response)
                for event in _events(response.iter_lines()):
                    if event.name == "error":
                        raise AppError(_message(event.data) or "the app failed", None, event.data)
                    yield event
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

    def _url_of(self, path: str) -> str:
        base = str(self.url)
        return f"{base.rstrip('/')}/{path.lstrip('/')}" if path else base

    def _unreachable(self, error: Exception) -> AppUnreachable:
        return AppUnreachable(f"{self.url} cannot be reached: {' '.join(str(error).split()) or type(error).__name__}")


def _json_object(response: httpx2.Response) -> dict[str, Any]:
    try:
        body: object = response.json()
    except ValueError:
        body = response.text
    if not response.is_success:
        message = _message(body) or f"{response.url} answered {response.status_code}"
        raise AppError(message, response.status_code, body)
    if not isinstance(body, dict):
        raise AppError(f"{response.url} answered something that is no JSON object", response.status_code, body)
    return cast("dict[str, Any]", body)


def _event_data(text: str) -> dict[str, Any]:
    try:
        data: object = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise AppError(f"the app streamed something that is no JSON object: {text[:80]!r}", None, text)
    return cast("dict[str, Any]", data)


def _message(body: object) -> str | None:
    """Return the text of {"error": {"message": ...}}, the shape of our apps' errors."""
    error = cast("dict[str, Any]", body).get("error") if isinstance(body, dict) else None
    message = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else None


def _events(lines: Iterator[str]) -> Iterator[Event]:
    """Parse server-sent events by the HTML standard: a field a line, an event at each empty line."""
    name, data = "message", list[str]()
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            yield Event(name, _event_data("\n".join(data)))
        if not line:
            name, data = "message", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
