"""Waiting against a mock whose clock is virtual: one that stands still, and one that our clients move."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from bananastand.clients import FalAI, FalQueue, GoBananas, PaperBanana, errors
from bananastand.clients.clock import ServerClock
from bananastand.clients.falai import AsyncFalAI
from bananastand.clients.paperbanana import calls
from bananastand_mocks.running import MockSession, RunningServer

MOMENT = 1_767_225_600.0  # 2026-01-01T00:00:00Z, where virtual clocks start


@pytest.fixture
def frozen(mock_server: RunningServer) -> MockSession:
    """A world whose clock only its test moves."""
    return mock_server.stand()


def client_of(session: MockSession, client: Any, provider: str, **options: Any) -> Any:
    endpoint = session.endpoint(provider)
    return client(endpoint.key, base_url=endpoint.base_url, **options)


def test_a_wait_with_a_stopped_clock_ends_at_once_and_says_how_to_move_it(frozen: MockSession) -> None:
    began = time.monotonic()
    with client_of(frozen, FalAI, "falai") as fal, pytest.raises(errors.ClockStopped) as caught:
        fal.wait_for_instance(fal.create_instance("gpu-1x-a10g").id)

    assert time.monotonic() - began < 3.5, "less than one pause"
    assert caught.value.task.status == "provisioning"
    for text in (
        "is provisioning, and the mock's clock stands still at 2026-01-01T00:00:00Z",
        "stand.clock.advance(60)",
        f'POST {{"advance": 60}} to /_stand/worlds/{frozen.world.name}/clock',
        "auto_advance",
    ):
        assert text in str(caught.value)


def test_an_asynchronous_wait_with_a_stopped_clock_ends_at_once_too(frozen: MockSession) -> None:
    async def wait() -> None:
        async with client_of(frozen, AsyncFalAI, "falai") as fal:
            instance = await fal.create_instance("gpu-1x-a10g")
            with pytest.raises(errors.ClockStopped):
                await fal.wait_for_instance(instance.id)
            frozen.clock.advance(40)
            assert (await fal.wait_for_instance(instance.id)).status == "active"

    asyncio.run(wait())


def test_a_rate_limit_on_a_stopped_clock_is_not_waited_for(frozen: MockSession) -> None:
    frozen.limits.set("gobananas", 1, 30)
    with client_of(frozen, GoBananas, "gobananas") as bananas:
        bananas.get_profile()
        with pytest.raises(errors.RateLimitError) as caught:
            bananas.get_profile()

        assert "stands still at 2026-01-01T00:00:00Z" in caught.value.__notes__[0]
        assert len(frozen.journal.find(operation="get_profile")) == 2
        frozen.clock.advance(30)
        assert bananas.get_profile().tenant.tenant_id


def test_a_wait_in_a_world_of_the_fixtures_moves_its_clock(falai: Any, stand: MockSession) -> None:
    began, states = time.monotonic(), list[str]()
    with FalAI(falai.key, base_url=falai.base_url) as fal:
        instance = fal.create_instance("gpu-1x-a10g")
        active = fal.wait_for_instance(instance.id, poll=5, on_check=lambda instance: states.append(instance.status))

    assert active.status == "active"
    assert states == ["provisioning"] * 6 + ["active"]  # after 30 seconds, by 5
    assert stand.clock.now() == MOMENT + 30
    assert time.monotonic() - began < 20, "nobody slept for 30 seconds"


def test_a_deadline_counts_the_seconds_of_the_mocks_clock(falai: Any, stand: MockSession) -> None:
    with FalAI(falai.key, base_url=falai.base_url) as fal, pytest.raises(errors.DeadlineExceeded, match="after 12 s"):
        fal.wait_for_instance(fal.create_instance("gpu-1x-a10g").id, poll=5, deadline=12)

    assert 11.0 < stand.clock.now() - MOMENT <= 12.0


def test_the_reset_of_a_limit_is_understood_by_the_mocks_clock(gobananas: Any, stand: MockSession) -> None:
    stand.limits.set("gobananas", 1, 50)
    with GoBananas(gobananas.key, base_url=gobananas.base_url) as bananas:
        bananas.get_profile()
        bananas.get_profile()
        assert 50 < stand.clock.now() - MOMENT <= 51.5  # to the second, and up to half a second more
        assert bananas.create_image("a hill").images, "a change waits for its limit too"

    assert 100 < stand.clock.now() - MOMENT <= 103


def test_a_stream_on_a_stopped_clock_ends_at_once_and_says_how_to_move_it(frozen: MockSession) -> None:
    frozen.tasks.finish_after_seconds(60)
    with client_of(frozen, FalQueue, "fal-queue") as fal:
        request = fal.submit("fal-ai/flux/dev", {"prompt": "a cat"})
        with pytest.raises(errors.ClockStopped, match=r"is IN_QUEUE, and the mock's clock stands still at 2026-01-01"):
            list(fal.stream("fal-ai/flux/dev", request.request_id))

        frozen.clock.advance(60)
        assert [state.status for state in fal.stream("fal-ai/flux/dev", request.request_id)] == ["COMPLETED"]


def test_a_stream_in_a_world_of_the_fixtures_moves_its_clock(fal_queue: Any, stand: MockSession) -> None:
    stand.tasks.finish_after_seconds(60)
    with FalQueue(fal_queue.key, base_url=fal_queue.base_url) as fal:
        request = fal.submit("fal-ai/flux/dev", {"prompt": "a cat"})
        states = [state.status for state in fal.stream("fal-ai/flux/dev", request.request_id)]

    assert states == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert stand.clock.now() - MOMENT == pytest.approx(60, abs=8)


def test_work_that_ends_by_polls_needs_no_clock(frozen: MockSession) -> None:
    frozen.tasks.finish_after_polls(6)
    with client_of(frozen, PaperBanana, "paperbanana") as paper:
        assert paper.run_and_wait(calls.create_plot({"a": 1}, "one bar")).status == "completed"

    assert frozen.clock.now() == MOMENT


@pytest.mark.parametrize("seconds", ["-5", "nan", "inf", "1e9", "soon", ""])
def test_an_advance_that_is_no_time_to_wait_is_ignored(seconds: str, falai: Any, stand: MockSession) -> None:
    with FalAI(falai.key, base_url=falai.base_url) as fal:
        fal.list_models(headers={"X-Stand-Advance": seconds})

    assert stand.clock.now() == MOMENT


def test_a_client_cannot_move_a_clock_that_only_its_test_moves(frozen: MockSession) -> None:
    with client_of(frozen, FalAI, "falai") as fal:
        fal.list_models(headers={"X-Stand-Advance": "5"})

    assert frozen.clock.now() == MOMENT


@pytest.mark.parametrize("text", ["", "soon w stopped", "1767225600", "1767225600 w"])
def test_a_header_that_is_no_clock_is_none(text: str) -> None:
    assert ServerClock.of({"x-stand-clock": text}) is None


def test_a_world_of_the_control_plane_may_advance_itself(mock_server: RunningServer) -> None:
    import httpx2

    world = httpx2.post(f"{mock_server.url}/_stand/worlds", json={"auto_advance": True}).json()
    key = world["credentials"]["lowcodeapi"][0]
    with FalAI(key, base_url=f"{mock_server.url}{world['prefix']}/lowcodeapi/falai") as fal:
        assert fal.wait_for_instance(fal.create_instance("gpu-1x-a10g").id).status == "active"
    httpx2.delete(f"{mock_server.url}/_stand/worlds/{world['name']}")
