"""Banana's log socket, run URL and memory of runs, at their edges; called directly."""

from __future__ import annotations

import asyncio
import json
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest

from bananastand_mocks.bananadev import BananaDev, build_log, inference, projects, runtime, state
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


def test_the_newest_of_two_runs_of_one_id_is_found_until_it_is_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RUNS_KEPT", 2)
    for call_id, id in (("first", "same"), ("second", "same"), ("third", "other")):
        state.keep_run(world, {"callID": call_id, "id": id, "inputs": {}})
    found = state.find_run(world, "same")
    assert found is not None
    assert found["callID"] == "second"
    assert world.table("bananadev.calls") == {"same": "second", "other": "third"}
    state.keep_run(world, {"callID": "fourth", "id": "fourth", "inputs": {}})
    assert state.find_run(world, "same") is None
    assert world.table("bananadev.calls") == {"other": "third", "fourth": "fourth"}


def test_the_seconds_of_a_run_are_counted_in_thousandths(world: World) -> None:
    run = {"modelKey": "value", "begun": 10.0, "due": 10.12345, "cold": True}
    state.end_run(world, run, "succeeded")
    assert run["state"] == "succeeded"
    assert state.usage_rows(world)["2026-01-01 value"] == {
        "runs": 1, "succeeded": 1, "failed": 0, "computeSeconds": 0.123, "coldStarts": 1,
    }  # fmt: skip


# Models and uploads ----------------------------------------------------------------------------------------------


def test_what_a_model_is_called_in_an_address(world: World) -> None:
    def named(name: str) -> str:
        return state.add_model(world, name)["slug"]

    assert named("My  Model!") == "my-model"
    assert re.fullmatch("my-model-[0-9a-f]{6}", named("my model"))
    assert named("x" * 41) == "x" * 40
    assert named("?") == "model"


def test_settings_are_our_docs(world: World) -> None:
    settings = {name: value for name, value in world.settings.items() if name.startswith("bananadev.")}
    assert settings == {
        "bananadev.hold_seconds": 50.0,
        "bananadev.long_poll_seconds": 50.0,
        "bananadev.build_seconds": [1.0, 20.0, 10.0],
        "bananadev.routes": ["/"],
        "bananadev.busy": False,
    }


def test_the_oldest_uploads_make_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (projects.UPLOADS_KEPT, projects.UPLOADS_BYTES) == (20, 256 * 2**20)
    monkeypatch.setattr(projects, "UPLOADS_BYTES", 10)
    uploads = world.table("bananadev.uploads")

    def left(*sizes: int | None) -> list[str]:
        uploads.clear()
        world.credentials[projects.UPLOAD] = [f"{number}" for number in range(len(sizes))]
        uploads.update({f"{number}": {"project": "p", "bytes": size} for number, size in enumerate(sizes)})
        projects._forget_oldest(world)
        return list(uploads)

    assert left(10, None) == ["0", "1"], "what is not put yet takes no room"
    assert left(None, 6, 5) == ["2"]
    assert left(11) == ["0"], "the newest stays"
    monkeypatch.setattr(projects, "UPLOADS_KEPT", 2)
    assert left(1, 1, 1) == ["1", "2"]


# Time ------------------------------------------------------------------------------------------------------------


def test_a_clock_is_waited_for_where_it_runs_and_no_longer_than_is_wished() -> None:
    class Clock:
        virtual, speed = False, 1.0

        def now(self) -> float:
            return time.monotonic()

    def waited(due: float, wait: float) -> bool:
        some: Any = SimpleNamespace(clock=Clock())
        return asyncio.run(runtime._wait_until(some, time.monotonic() + due, wait))

    assert waited(0.05, 0.9) is True
    assert waited(60.0, 0.02) is False
    assert waited(-1.0, 0.0) is True


def test_a_clock_that_stands_is_not_waited_for(world: World) -> None:
    async def due(seconds: float) -> bool:
        return await runtime._wait_until(world, world.clock.now() + seconds, 60.0)

    assert [asyncio.run(due(each)) for each in (-1.0, 0.0, 0.001)] == [True, True, False]
