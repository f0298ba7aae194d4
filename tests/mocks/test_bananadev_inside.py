"""The instant runtime and what it keeps, called directly: what is counted, what is forgotten, who has to wait."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from bananastand.contracts.errors import ProviderError
from bananastand_mocks.bananadev import BananaDev, deploying, projects, runs, state
from bananastand_mocks.bananadev.http_runtime import HttpRuntime
from bananastand_mocks.bananadev.runtime import InstantRuntime, Reply
from bananastand_mocks.kernel.world import World
from in_process import InProcess

KEY = {"x-banana-api-key": "11111111-1111-1111-1111-111111111111"}
EVENTS = {state.RUN_DUE: state.run_is_due, deploying.EVENT: deploying.step}


@pytest.fixture
def world() -> World:
    """With one model. Its clock stands at 2026-01-01T00:00:00Z."""
    made = World("test", seed=1, events=EVENTS)
    state.fill(made, "empty")
    state.add_model(made, "value")
    return made


def begun(world: World, runtime: InstantRuntime | None = None) -> Any:
    return asyncio.run(
        (runtime or InstantRuntime()).submit(
            world,
            "value",
            {"prompt": "a"},
            id=None,
            wait=0.0,
        )
    )


def checked(world: World, call: str) -> Any:
    return asyncio.run(InstantRuntime().check(world, call, wait=0.0))


def called(world: World, route: str = "/", runtime: InstantRuntime | None = None) -> Reply:
    project = state.models(world)["value"]
    return asyncio.run((runtime or InstantRuntime()).call(world, project, route, {"prompt": "a"}, b"{}"))


def usage(world: World) -> Any:
    return state.usage_rows(world)["2026-01-01 value"]


def test_a_run_is_called_off_once_while_it_runs(world: World) -> None:
    world.tasks.finish_after_seconds(10)
    run, runtime = begun(world), InstantRuntime()

    assert asyncio.run(runtime.cancel(world, run.call_id)) is True
    assert asyncio.run(runtime.cancel(world, run.call_id)) is False
    assert asyncio.run(runtime.cancel(world, "call_nobodys")) is False

    after = checked(world, run.call_id)
    assert (after.status, after.error) == ("failed", "the run was cancelled")
    assert (usage(world)["runs"], usage(world)["failed"], usage(world)["succeeded"]) == (1, 1, 0)
    world.clock.advance(10)
    assert usage(world)["runs"] == 1


def test_a_run_that_is_over_is_not_called_off(world: World) -> None:
    run = begun(world)

    assert asyncio.run(InstantRuntime().cancel(world, run.call_id)) is False
    assert checked(world, run.call_id).status == "succeeded"


def test_a_run_that_nobody_asks_for_is_over_and_counted_when_it_is_due(world: World) -> None:
    world.tasks.finish_after_seconds(10)
    run = begun(world)
    world.clock.advance(9)
    assert state.usage_rows(world) == {}
    world.clock.advance(1)

    assert state.find_run(world, run.call_id)["state"] == "succeeded"  # type: ignore[index]
    assert usage(world) == {"runs": 1, "succeeded": 1, "failed": 0, "computeSeconds": 10.0, "coldStarts": 1}


def test_a_run_that_is_to_fail_is_counted_as_failed_when_it_is_due(world: World) -> None:
    world.tasks.finish_after_seconds(10)
    world.tasks.fail_next(1, "no memory")
    run = begun(world)
    world.clock.advance(10)

    assert checked(world, run.call_id).error == "no memory"
    assert (usage(world)["succeeded"], usage(world)["failed"]) == (0, 1)


def test_a_run_that_was_forgotten_meanwhile_is_not_missed(world: World) -> None:
    world.tasks.finish_after_seconds(10)
    run = begun(world)
    del state.runs(world)[run.call_id]
    world.clock.advance(10)

    assert state.usage_rows(world) == {}


def test_a_forwarded_run_has_no_event_of_its_own(world: World) -> None:
    """Its outputs are the app's, which is asked when somebody wants them."""
    world.tasks.finish_after_seconds(10)
    begun(world, HttpRuntime("http://127.0.0.1:9"))
    world.clock.advance(10)

    assert state.usage_rows(world) == {}


@pytest.mark.parametrize(("replicas", "cold"), [(0, 1), (1, 0)])
def test_a_start_is_cold_where_no_replica_is_kept(world: World, replicas: int, cold: int) -> None:
    state.models(world)["value"]["minReplicas"] = replicas
    begun(world)

    assert usage(world)["coldStarts"] == cold


@pytest.mark.parametrize(("idle", "cold"), [(30, 1), (31, 2)])
def test_a_replica_stays_for_the_idle_timeout(world: World, idle: int, cold: int) -> None:
    begun(world)
    world.clock.advance(idle)
    begun(world)

    assert usage(world)["coldStarts"] == cold


def test_calls_are_counted_by_how_the_app_answers(world: World) -> None:
    assert called(world).status == 200
    assert called(world, "/nothing").status == 404
    assert called(world, "/_k/warmup").body == {"warm": True}

    assert usage(world) == {"runs": 2, "succeeded": 1, "failed": 1, "computeSeconds": 0.0, "coldStarts": 1}


@pytest.mark.parametrize(("status", "succeeded"), [(399, 1), (400, 0)])
def test_an_answer_below_400_is_a_success(world: World, status: int, succeeded: int) -> None:
    class Answers(InstantRuntime):
        async def _handle(self, *_: Any) -> Reply:
            return Reply(status, "text/plain", b"")

    called(world, runtime=Answers())

    assert usage(world)["succeeded"] == succeeded


def test_as_many_calls_at_once_as_replicas_and_the_place_is_free_again(world: World) -> None:
    state.models(world)["value"]["maxReplicas"] = 2
    project, goes_on = state.models(world)["value"], asyncio.Event()

    class Waits(InstantRuntime):
        async def _handle(self, *_: Any) -> Reply:
            await goes_on.wait()
            return Reply(200, "text/plain", b"")

    async def scene() -> None:
        runtime = Waits()
        at_work = [asyncio.create_task(runtime.call(world, project, "/", {}, b"{}")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ProviderError, match="no_replicas"):
            await runtime.call(world, project, "/", {}, b"{}")
        goes_on.set()
        await asyncio.gather(*at_work)
        for _ in range(3):
            assert (await runtime.call(world, project, "/", {}, b"{}")).status == 200

    asyncio.run(scene())


def test_a_project_of_no_replicas_takes_no_call(world: World) -> None:
    state.models(world)["value"]["maxReplicas"] = 0

    with pytest.raises(ProviderError, match="no_replicas"):
        called(world)


def test_a_busy_app_is_busy(world: World) -> None:
    world.settings["bananadev.busy"] = True

    with pytest.raises(ProviderError, match="busy"):
        called(world)


def test_in_real_time_a_check_waits_for_nothing_and_a_start_as_long_as_it_is_held() -> None:
    world = World("test", seed=1, events=EVENTS, virtual=False)
    state.fill(world, "empty")
    state.add_model(world, "value")
    world.tasks.finish_after_seconds(0.4)

    async def scene() -> None:
        runtime, began = InstantRuntime(), time.monotonic()
        run = await runtime.submit(world, "value", {}, id=None, wait=0.0)
        told = await runs.check_run(world, {"id": run.call_id, "modelKey": "value"}, runtime)
        assert told["message"] == "running"
        assert time.monotonic() - began < 0.4
        held = await runtime.check(world, run.call_id, wait=5.0)
        assert held is not None
        assert held.status == "succeeded"
        assert 0.35 < time.monotonic() - began < 3
        slow = await runtime.submit(world, "value", {}, id=None, wait=0.1)
        assert slow.status == "running"

    asyncio.run(scene())


def test_a_deployment_fails_while_it_is_built_and_not_before(world: World) -> None:
    world.tasks.fail_next(1, "no Dockerfile")
    world.settings["bananadev.build_seconds"] = [1, 2, 3]
    id = deploying.begin(world, "value", "https://git.test/value", {})
    seen = list[tuple[str, str | None]]()
    for seconds in (0.5, 0.5, 2, 3):
        world.clock.advance(seconds)
        row = state.deployments(world)[id]
        seen.append((row["status"], row.get("message")))

    assert seen == [("queued", None), ("building", None), ("failed", "no Dockerfile"), ("failed", "no Dockerfile")]
    assert state.deployments(world)[id]["finishedAt"] == "2026-01-01T00:00:03.000Z"
    assert [each["m"] for each in state.log_lines(world, id)] == [
        "Build queued",
        "Step 1/6 : FROM pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime",
        "Step 4/6 : RUN python3 download.py",
        "Step 6/6 : CMD python3 -u app.py",
        "Successfully built",
        "error: no Dockerfile",
    ]


def test_a_deployment_goes_its_way_in_the_seconds_of_the_world(world: World) -> None:
    world.settings["bananadev.build_seconds"] = [1, 2, 3]
    id = deploying.begin(world, "value", "https://git.test/value", {})
    seen = list[str]()
    for seconds in (0.5, 0.5, 1.5, 0.5, 2.5, 0.5):
        world.clock.advance(seconds)
        seen.append(state.deployments(world)[id]["status"])

    assert seen == ["queued", "building", "building", "deploying", "deploying", "live"]
    assert state.deployments(world)[id]["finishedAt"] == "2026-01-01T00:00:06.000Z"


@pytest.fixture
def banana() -> InProcess:
    return InProcess(BananaDev(), kind="empty", headers=KEY)


def project_of(banana: InProcess) -> str:
    return banana("POST", "/v1/projects", json={"name": "stand"}).json()["id"]


def put(banana: InProcess, project: str, content: bytes) -> str:
    """An archive's key, once it is there."""
    key = banana("POST", f"/v1/projects/{project}/upload", json={}).json()["key"]
    assert banana("PUT", f"/upload/{key}", content=content, headers={"x-banana-api-key": ""}).status_code == 200
    return key


def built(banana: InProcess, project: str, key: str) -> int:
    return banana("POST", f"/v1/projects/{project}/build", json={"key": key}).status_code


def test_the_last_twenty_uploads_are_kept(banana: InProcess) -> None:
    project = project_of(banana)
    keys = [put(banana, project, b"archive") for _ in range(21)]

    assert [built(banana, project, key) for key in (keys[0], keys[1], keys[20])] == [404, 200, 200]
    assert f"bananadev/{keys[0]}" not in banana.world.blobs
    gone = banana("PUT", f"/upload/{keys[0]}", content=b"again", headers={"x-banana-api-key": ""})
    assert gone.status_code in (401, 403)


def test_of_large_uploads_as_many_as_there_is_room_for_and_always_the_last(
    banana: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects, "UPLOADS_BYTES", 10)
    project = project_of(banana)

    first, second = put(banana, project, b"12345"), put(banana, project, b"12345")
    assert [built(banana, project, key) for key in (first, second)] == [200, 200]
    third = put(banana, project, b"1")
    assert [built(banana, project, key) for key in (first, second, third)] == [404, 200, 200]
    large = put(banana, project, b"12345678901")
    assert [built(banana, project, key) for key in (second, third, large)] == [404, 404, 200]


def test_an_upload_that_never_came_is_not_built_nor_another_projects(banana: InProcess) -> None:
    project, other = project_of(banana), project_of(banana)
    asked = banana("POST", f"/v1/projects/{project}/upload", json={}).json()["key"]

    assert built(banana, project, asked) == 404
    assert built(banana, other, put(banana, project, b"archive")) == 404
    assert (projects.UPLOADS_KEPT, projects.UPLOADS_BYTES) == (20, 268_435_456)


def test_the_oldest_runs_are_forgotten_with_their_ids(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "RUNS_KEPT", 2)
    first, second, third = (begun(world) for _ in range(3))

    assert [checked(world, each.call_id) is not None for each in (first, second, third)] == [False, True, True]
    assert [checked(world, each.id) is not None for each in (first, second, third)] == [False, True, True]


def test_runs_of_large_inputs_make_room_for_each_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "RUNS_BYTES", 100)
    runtime = InstantRuntime()
    small = begun(world)
    large = asyncio.run(runtime.submit(world, "value", {"prompt": "a" * 200}, id=None, wait=0.0))

    assert checked(world, small.call_id) is None
    assert checked(world, large.call_id) is not None
    begun(world)
    assert checked(world, large.call_id) is None
