"""The log of a build, as the clients read it: its address, its key, invalid lines, a broken connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import websockets.asyncio.client
import websockets.sync.client
from websockets.exceptions import ConnectionClosedError

from bananastand.clients import errors
from bananastand.clients.banana import AsyncBanana, Banana

KINDS = pytest.mark.parametrize("kind", ["sync", "async"])
LINE = '{"t": "2026-01-01T00:00:00Z", "m": "Build queued"}'


class Socket:
    """In the place of `connect`: frames as they come, or an error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *frames: Any) -> None:
        self.frames, self.requests = frames, list[tuple[str, dict[str, Any]]]()
        monkeypatch.setattr(websockets.sync.client, "connect", self)
        monkeypatch.setattr(websockets.asyncio.client, "connect", self)

    def __call__(self, url: str, **words: Any) -> Socket:
        self.requests.append((url, words))
        return self

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *error: object) -> None: ...

    async def __aenter__(self) -> Socket:
        return self

    async def __aexit__(self, *error: object) -> None: ...

    def __iter__(self) -> Iterator[Any]:
        for frame in self.frames:
            if isinstance(frame, Exception):
                raise frame
            yield frame

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self:
            yield item


def read(kind: str, **options: Any) -> list[Any]:
    if kind == "sync":
        return list(Banana("key", **options).build_log("a/b"))

    async def lines() -> list[Any]:
        return [item async for item in AsyncBanana("key", **options).build_log("a/b")]

    return asyncio.run(lines())


@KINDS
@pytest.mark.parametrize(
    ("options", "url", "patience"),
    [
        ({}, "wss://build.banana.dev/ws/logs/a%2Fb", 60.0),
        ({"base_url": "https://stand.test/banana/"}, "wss://stand.test/banana/ws/logs/a%2Fb", 60.0),
        ({"base_url": "http://127.0.0.1:8000", "timeout": 5.0}, "ws://127.0.0.1:8000/ws/logs/a%2Fb", 5.0),
    ],
)
def test_a_build_log_has_its_own_address(
    kind: str, options: Any, url: str, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = Socket(monkeypatch, LINE, LINE)

    lines = read(kind, **options)

    assert [(line.t, line.m) for line in lines] == [("2026-01-01T00:00:00Z", "Build queued")] * 2
    words = {"additional_headers": {"X-Banana-API-Key": "key"}, "open_timeout": patience}
    assert socket.requests == [(url, words)]


@KINDS
@pytest.mark.parametrize("frame", ["no JSON", '{"t": 5}', b"\xff"])
def test_an_invalid_line_of_a_build_log_is_an_error(kind: str, frame: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Socket(monkeypatch, LINE, frame)

    with pytest.raises(errors.APIResponseError) as caught:
        read(kind)

    assert str(caught.value) == "GET wss://build.banana.dev/ws/logs/a%2Fb: a line of the log does not fit"
    assert caught.value.body == frame


@KINDS
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(111, "Connection\n refused"), "ConnectionRefusedError: [Errno 111] Connection refused"),
        (ConnectionClosedError(None, None), "ConnectionClosedError: no close frame received or sent"),
    ],
)
def test_a_build_log_that_breaks_off_is_a_connection_error(
    kind: str, error: Exception, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Socket(monkeypatch, LINE, error)

    with pytest.raises(errors.APIConnectionError) as caught:
        read(kind)

    assert str(caught.value) == f"GET wss://build.banana.dev/ws/logs/a%2Fb: {text}"
