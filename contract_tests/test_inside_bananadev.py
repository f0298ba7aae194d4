"""Banana's log socket, run URL and memory of runs, at their edges; called directly."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from bananastand_mocks.bananadev import BananaDev, build_log, inference, state
from bananastand_mocks.bananadev.runtime import InstantRuntime, Reply
from bananastand_mocks.kernel.world import World
from in_process import InProcess

KEY = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def call() -> InProcess:
    return InProcess(BananaDev(), kind="empty", headers={"x-banana-api-key": KEY})


@pytest.fixture
def world(call: InProcess) -> World:
    state.add_model(call.world, "value")
    return call.world


# The log of a build ----------------------------------------------------------------------------------------------


class Socket:
    """A caller of the log: says something once, then nothing; leaves when it is told to."""

    def __init__(self, key: str, build: str) -> None:
        self.headers, self.path_params, self.scope = {"x-banana-api-key": key}, {"build": build}, {}
        self.sent, self.closed, self.accepted = list[Any](), list[Any](), False
        self.leave, self._said = asyncio.Event(), False

    async def accept(self) -> None:
        self.accepted = True

    async def close(self, code: int = 1000) -> None:
        self.closed.append(code)

    async def send_text(self, text: str) -> None:
        self.sent.append(json.loads(text))

    async def receive(self) -> dict[str, str]:
        if not self._said:
            self._said = True
            return {"type": "websocket.receive", "text": "hello"}
        await self.leave.wait()
        return {"type": "websocket.disconnect"}


def begun(call: InProcess, world: World) -> str:
    from bananastand_mocks.bananadev import deploying

    return deploying.begin(world, "value", "https://git.test/one", {})


@pytest.mark.parametrize(("key", "build"), [("wrong", None), ("", None), (KEY, "none")])
def test_a_log_that_is_refused(key: str, build: str | None, call: InProcess, world: World) -> None:
    async def asked() -> Socket:
        socket: Any = Socket(key, build or begun(call, world))
        await build_log.stream_log(socket, call.worlds, InstantRuntime())
        return socket

    socket = asyncio.run(asked())
    assert (socket.closed, socket.accepted, socket.sent) == ([1008], False, [])


def test_a_log_is_followed_to_its_end_whatever_the_caller_says(
    call: InProcess, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_log, "PAUSE", 0.001)

    async def followed() -> Any:
        socket: Any = Socket(KEY, begun(call, world))
        following = asyncio.create_task(build_log.stream_log(socket, call.worlds, InstantRuntime()))
        await asyncio.sleep(0.05)
        assert not following.done()
        assert (socket.accepted, [each["m"] for each in socket.sent], socket.closed) == (True, ["Build queued"], [])
        world.clock.advance(3600)
        await asyncio.wait_for(following, 5)
        return socket

    socket = asyncio.run(followed())
    assert [each["m"] for each in socket.sent] == [
        "Build queued",
        "Step 1/6 : FROM pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime",
        "Step 4/6 : RUN python3 download.py",
        "Step 6/6 : CMD python3 -u app.py",
        "Successfully built",
        "Pushing image",
        "Starting a replica",
        "Your model is live",
    ]
    assert socket.closed == [1000]


def test_a_caller_that_leaves_is_not_told_more(call: InProcess, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_log, "PAUSE", 0.001)

    async def left() -> Any:
        socket: Any = Socket(KEY, begun(call, world))
        socket.leave.set()
        await asyncio.wait_for(build_log.stream_log(socket, call.worlds, InstantRuntime()), 5)
        return socket

    socket = asyncio.run(left())
    assert socket.closed == []


# The run URL -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("raw", "handed"), [(b"", b"{}"), (b'{"a": 1}', b'{"a": 1}')])
def test_what_is_handed_to_the_app(raw: bytes, handed: bytes, world: World) -> None:
    seen: list[Any] = []

    class Runtime(InstantRuntime):
        async def call(self, world: World, project: Any, route: str, body: Any, raw: bytes, **words: Any) -> Reply:
            seen.append((project["modelKey"], route, raw, words["request_id"]))
            return Reply(200, "application/json", b"{}")

    at: Any = SimpleNamespace(headers={"x-banana-request-id": "one"}, raw=raw)
    id = state.models(world)["value"]["id"]
    parameters = {"project": id, "route": "deep/route"}
    asyncio.run(inference.call_project(world, parameters, {}, at, Runtime()))
    asyncio.run(inference.warmup_project(world, {"project": id}, {}, at, Runtime()))
    asyncio.run(inference.call_project(world, {"project": id}, {}, at, Runtime()))

    assert seen == [
        ("value", "/deep/route", handed, "one"), ("value", "/_k/warmup", handed, "one"), ("value", "/", handed, "one"),
    ]  # fmt: skip


# Runs ------------------------------------------------------------------------------------------------------------


def started(call: InProcess, prompt: str) -> Any:
    body = {"apiKey": KEY, "modelKey": "value", "modelInputs": {"prompt": prompt}, "startOnly": True}
    return call("POST", "/start/v4", json=body).json()["callID"]


def test_runs_fill_the_room_there_is_to_the_last_byte(
    call: InProcess, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (state.RUNS_KEPT, state.RUNS_BYTES) == (2000, 64 * 2**20)
    world.tasks.finish_after_seconds(1000)
    first, second = started(call, "a"), started(call, "b")
    sizes = [each["bytes"] for each in state.runs(world).values()]
    assert world.table("bananadev.sizes")["runs"] == sum(sizes)

    monkeypatch.setattr(state, "RUNS_BYTES", sum(sizes) + sizes[1])
    third = started(call, "c")
    assert list(state.runs(world)) == [first, second, third]
    fourth = started(call, "d")
    assert list(state.runs(world)) == [second, third, fourth]
    monkeypatch.setattr(state, "RUNS_BYTES", 1)
    last = started(call, "e")
    assert list(state.runs(world)) == [last], "the newest stays"


def test_the_documents_own_run_is_over_when_it_is_asked_for() -> None:
    call = InProcess(BananaDev(), kind="documents", headers={"x-banana-api-key": KEY})
    call.world.tasks.finish_after_polls(2)

    answer = call("POST", "/check/v4", json={"apiKey": KEY, "callID": "value"}).json()

    assert answer["message"] == "success"
    assert state.usage_rows(call.world)["2026-01-01 value"] == {
        "runs": 1, "succeeded": 1, "failed": 0, "computeSeconds": 0.0, "coldStarts": 0,
    }  # fmt: skip
