"""Caching, retries, timeouts and limits of every client, with a clock of the test."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from bananastand.clients import client as module
from bananastand.clients import errors
from bananastand.clients.gobananas import AsyncGoBananas, GoBananas, calls
from bananastand.clients.session import Pause

KINDS = pytest.mark.parametrize("kind", ["sync", "async"])
PROFILE = calls.get_profile()
IMAGES = calls.list_images()
GONE = calls.get_session("gone")


class Clock:
    """In the place of `time`: it goes on by what is slept, and by what a test says."""

    def __init__(self) -> None:
        self.now, self.slept = 1000.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        assert len(self.slept) < 50, "it never ends"
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for name in ("client", "session", "waiting"):
        monkeypatch.setattr(f"bananastand.clients.{name}.time", clock)

    real, ours = asyncio.sleep, threading.get_ident()

    async def sleep(seconds: float) -> None:
        if threading.get_ident() != ours:  # a server of the session's, in a thread of its own
            await real(seconds)
            return
        clock.sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return clock


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body in pieces, before each of which something happens."""

    def __init__(self, pieces: list[bytes], before: Callable[[], None]) -> None:
        self.pieces, self.before = pieces, before

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.before()
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.before()
            yield piece


class Wire:
    """A client without a network. `answers` are given one after the other, the last for ever."""

    def __init__(self, kind: str, *answers: Any, **options: Any) -> None:
        self.kind, self.answers, self.requests = kind, answers, list[httpx2.Request]()
        client = GoBananas if kind == "sync" else AsyncGoBananas
        self.client: Any = client("key", transport=httpx2.MockTransport(self._answer), **options)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return httpx2.Response(answer, json={"error": "no", "code": "NO"})
        return answer() if callable(answer) else httpx2.Response(200, json=answer)

    def send(self, *calls: Any) -> Any:
        """Make calls one after the other; the result of the last."""
        if self.kind == "sync":
            return [self.client.send(item) for item in calls][-1]

        async def each_of_them() -> Any:
            return [await self.client.send(item) for item in calls][-1]

        return asyncio.run(each_of_them())

    def wait(self, pause: Pause) -> None:
        waited = self.client._sleep(pause)
        if self.kind == "async":
            asyncio.run(waited)


ANY = {"any": "thing"}
call = replace(PROFILE, result=dict[str, Any])
other = replace(IMAGES, result=dict[str, Any])
change = replace(calls.delete_image(1), result=dict[str, Any])


# The cache -------------------------------------------------------------------------------------------------------


@KINDS
def test_a_cached_answer_expires_after_its_ttl(kind: str, clock: Clock) -> None:
    wire = Wire(kind, ANY, cache_ttl=10)
    wire.send(call)
    clock.now += 9.99
    wire.send(call)
    assert len(wire.requests) == 1
    clock.now += 0.01
    wire.send(call)
    assert len(wire.requests) == 2


@KINDS
def test_nothing_is_cached_by_default(kind: str, clock: Clock) -> None:
    wire = Wire(kind, ANY)
    wire.send(call, call)
    assert len(wire.requests) == 2


@KINDS
def test_a_fresh_call_bypasses_the_cache_and_fills_it(kind: str, clock: Clock) -> None:
    wire = Wire(kind, ANY, cache_ttl=10)
    wire.send(call, replace(call, fresh=True))
    assert len(wire.requests) == 2
    wire.send(call)
    assert len(wire.requests) == 2, "and is kept in its turn"


@KINDS
def test_the_cache_is_keyed_by_address_and_cleared_by_a_change(kind: str, clock: Clock) -> None:
    wire = Wire(kind, ANY, cache_ttl=10)
    wire.send(call, other, call, other)
    assert len(wire.requests) == 2
    wire.send(change, call, other)
    assert len(wire.requests) == 5


@KINDS
def test_the_answer_of_a_change_is_not_cached(kind: str, clock: Clock) -> None:
    wire = Wire(kind, ANY, cache_ttl=10)
    wire.send(replace(call, method="POST"), call)
    assert len(wire.requests) == 2


@KINDS
def test_an_error_is_neither_cached_nor_clears_the_cache(kind: str, clock: Clock) -> None:
    wire = Wire(kind, ANY, 404, cache_ttl=10)
    wire.send(call)
    for _ in range(2):
        with pytest.raises(errors.NotFoundError):
            wire.send(GONE)
    wire.send(call)
    assert len(wire.requests) == 3


# Waiting ---------------------------------------------------------------------------------------------------------


@KINDS
def test_a_pause_sleeps_once(kind: str, clock: Clock) -> None:
    Wire(kind).wait(Pause(0.25))
    Wire(kind).wait(Pause(0.0))
    assert clock.slept == [0.25]


@KINDS
def test_a_pause_checks_for_cancellation_ten_times_a_second(kind: str, clock: Clock) -> None:
    Wire(kind).wait(Pause(0.25, lambda: False))
    assert clock.slept == [0.1, 0.1, 0.05]
    Wire(kind).wait(Pause(5.0, lambda: len(clock.slept) > 4))
    assert clock.slept == [0.1, 0.1, 0.05, 0.1, 0.1]
    Wire(kind).wait(Pause(5.0, lambda: True))
    assert len(clock.slept) == 5


@KINDS
def test_a_call_is_retried_twice_by_default(kind: str, clock: Clock) -> None:
    wire = Wire(kind, 503)
    with pytest.raises(errors.ServerError):
        wire.send(call)
    assert len(wire.requests) == 3
    first, second = clock.slept
    assert 0.25 <= first <= 0.5 <= second <= 1.0


@KINDS
@pytest.mark.parametrize("broken", [httpx2.ConnectError("gone"), httpx2.ReadTimeout("late")])
def test_a_broken_connection_is_retried(kind: str, broken: Exception, clock: Clock) -> None:
    wire = Wire(kind, broken, broken, ANY)
    assert wire.send(call) == ANY
    assert len(wire.requests) == 3


@KINDS
@pytest.mark.parametrize(("status", "tries"), [(400, 1), (428, 1), (429, 2), (430, 1), (499, 1), (500, 2), (599, 2)])
def test_429_and_500_and_above_are_retried(kind: str, status: int, tries: int, clock: Clock) -> None:
    wire = Wire(kind, status, max_retries=1)
    with pytest.raises(errors.APIStatusError):
        wire.send(call)
    assert len(wire.requests) == tries


@KINDS
def test_a_call_that_may_have_succeeded_is_not_retried(kind: str, clock: Clock) -> None:
    wire = Wire(kind, 503)
    with pytest.raises(errors.ServerError):
        wire.send(calls.create_image("a stand"))
    assert (len(wire.requests), clock.slept) == (1, [])


# How long, and how much ------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize(("of_call", "own", "expected"), [(None, None, 60.0), (None, 5.0, 5.0), (70.0, 5.0, 70.0)])
def test_the_timeout_of_a_call_goes_before_the_clients(
    kind: str, of_call: Any, own: Any, expected: float, clock: Clock
) -> None:
    wire = Wire(kind, ANY, **({} if own is None else {"timeout": own}))
    wire.send(replace(call, timeout=of_call))
    assert wire.requests[0].extensions["timeout"] == dict.fromkeys(("connect", "read", "write", "pool"), expected)


@KINDS
@pytest.mark.parametrize(("late", "in_time"), [(5.0, True), (5.01, False)])
def test_the_timeout_covers_the_whole_body(kind: str, late: float, in_time: bool, clock: Clock) -> None:
    def pass_by() -> None:
        clock.now += late / 2

    pieces = Body([b'{"any": ', b'"thing"}'], pass_by)
    wire = Wire(kind, lambda: httpx2.Response(200, stream=pieces), timeout=5.0, max_retries=0)
    if in_time:
        assert wire.send(call) == ANY
    else:
        with pytest.raises(errors.APITimeoutError, match=r"the answer was not whole after 5 s$"):
            wire.send(call)


@KINDS
@pytest.mark.parametrize(("spare", "taken"), [(0, True), (-1, False)])
def test_a_body_above_the_largest_size_is_an_error(
    kind: str, spare: int, taken: bool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.LARGEST == 268_435_456
    monkeypatch.setattr(module, "LARGEST", len(json.dumps(ANY)) + spare)
    wire = Wire(kind, lambda: httpx2.Response(200, content=json.dumps(ANY)))
    if taken:
        assert wire.send(call) == ANY
    else:
        with pytest.raises(errors.APIResponseError, match="the answer is larger than 15 bytes"):
            wire.send(call)


@KINDS
def test_a_redirect_is_not_followed(kind: str, clock: Clock) -> None:
    wire = Wire(kind, lambda: httpx2.Response(302, headers={"location": "https://example.com/"}))
    with pytest.raises(errors.APIStatusError, match="302 an empty body"):
        wire.send(call)
    assert [str(request.url) for request in wire.requests] == ["https://gobananasai.com/api/profile"]


@KINDS
def test_closing_a_client_leaves_a_shared_connection_open(kind: str) -> None:
    classes: dict[str, Any] = {"sync": (GoBananas, httpx2.Client), "async": (AsyncGoBananas, httpx2.AsyncClient)}
    of, http = classes[kind]
    own, shared = of("key"), http()
    lent = of("key", http=shared)
    for item in (own, lent):
        item.close() if kind == "sync" else asyncio.run(item.aclose())
    assert (own._http.is_closed, shared.is_closed) == (True, False)
