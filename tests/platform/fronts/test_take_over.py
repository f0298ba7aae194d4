"""A front that stands by takes over from one that dies, freezes or stops, and no caller loses its call."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ends import Ends
from several_fronts import FrontProcess, Fronts, wait_for

TAKE_OVER = 60.0  # seconds, on a machine that does much else; benchmarks.fronts measures it
pytestmark = pytest.mark.needs("postgres")
CALL = "/stand/v1/projects/app/call/"


@pytest.fixture(scope="module")
def fronts(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    running = Fronts(tmp_path_factory.mktemp("fronts"), database)
    try:
        running.deploy(running.all[0])
        running.deploy(running.all[0], "chat", "websocket")
        yield running
    finally:
        running.close()


@pytest.fixture
def pair(fronts: Fronts) -> tuple[FrontProcess, FrontProcess]:
    return fronts.pair()


def call(front: FrontProcess, value: Any) -> Any:
    answer = front.http.post(CALL, json=value)
    assert answer.status_code == 200, answer.text
    return answer.json()["got"]


def begun(executor: ThreadPoolExecutor, front: FrontProcess, count: int, seconds: float) -> list[Future[Any]]:
    """Calls through a front, the first of which is in a replica."""
    waiting = [executor.submit(call, front, {"number": number, "seconds": seconds}) for number in range(count)]
    wait_for(lambda: front.http.get("/stand/v1/projects/app").json()["running"])
    return waiting


def test_callers_of_a_front_that_stands_by_outlive_the_active_one(
    pair: tuple[FrontProcess, FrontProcess], ends: Ends
) -> None:
    active, standby = pair
    with ThreadPoolExecutor(8) as executor:
        waiting = begun(executor, standby, 8, 0.4)
        active.kill()
        killed = time.monotonic()
        wait_for(lambda: standby.role == "active")
        assert time.monotonic() - killed < TAKE_OVER
        assert sorted(one.result()["number"] for one in waiting) == list(range(8))

    assert set(ends.counts().values()) == {1}
    assert len(ends.counts()) == 8, "a call that was sent again is the same call"
    assert (
        "earlier lines are in the data directory of the front" in standby.http.get("/stand/v1/projects/app/logs").text
    )


def test_a_frozen_front_is_replaced_and_writes_nothing_when_it_wakes(
    pair: tuple[FrontProcess, FrontProcess], ends: Ends
) -> None:
    active, standby = pair
    with ThreadPoolExecutor(5) as executor:
        waiting = begun(executor, standby, 4, 0.5)
        direct = executor.submit(active.http.post, CALL, json={"seconds": 0.5})
        wait_for(lambda: ends.unfinished() + len(ends.counts()) == 5)
        active.pause()
        frozen = time.monotonic()
        wait_for(lambda: standby.role == "active")
        assert time.monotonic() - frozen < TAKE_OVER
        assert sorted(one.result()["number"] for one in waiting) == [0, 1, 2, 3]
        active.resume()
        wait_for(lambda: active.role == "standby")
        released = direct.result()

    assert released.status_code == 503
    assert released.headers["x-banana-call-id"] in released.json()["error"]["message"]
    wait_for(lambda: len(ends.counts()) == 5)
    assert set(ends.counts().values()) == {1}
    assert call(active, {"through": "the one that was frozen"}) == {"through": "the one that was frozen"}


def test_a_front_that_is_stopped_hands_its_callers_over(pair: tuple[FrontProcess, FrontProcess]) -> None:
    active, standby = pair
    with ThreadPoolExecutor(4) as executor:
        waiting = begun(executor, standby, 4, 0.5)
        assert active.stop() == 0, active.log
        assert sorted(one.result()["number"] for one in waiting) == [0, 1, 2, 3]


def test_a_start_that_was_acknowledged_is_checked_at_the_next_front(
    pair: tuple[FrontProcess, FrontProcess], fronts: Fronts
) -> None:
    active, standby = pair
    body = {"apiKey": fronts.key, "modelKey": "app", "modelInputs": {"seconds": 1}, "startOnly": True}
    started = standby.http.post("/banana/start/v4", json=body).json()
    active.kill()

    check = {"apiKey": fronts.key, "callID": started["callID"], "longPoll": True}
    checked = standby.http.post("/banana/check/v4", json=check).json()

    assert checked["message"] == "success", checked
    assert checked["modelOutputs"][0]["got"] == {"seconds": 1}


def test_a_body_that_was_half_sent_is_sent_again_for_a_call_and_not_for_a_deploy(
    pair: tuple[FrontProcess, FrontProcess], fronts: Fronts
) -> None:
    active, standby = pair

    killed = threading.Event()

    def pieces(first: bytes, second: bytes) -> Iterator[bytes]:
        yield first
        killed.wait()
        yield second

    with ThreadPoolExecutor(2) as executor:
        called = executor.submit(standby.http.post, CALL, content=pieces(b'{"half":', b' "sent"}'))
        deploy = executor.submit(standby.http.post, "/stand/v1/projects/new/archive", content=pieces(b"tar", b"gz"))
        wait_for(lambda: list((active.data / "uploads").glob("*.part")))  # the active front receives it
        active.kill()
        killed.set()

    assert called.result().json()["got"] == {"half": "sent"}
    assert (deploy.result().status_code, deploy.result().json()["error"]["code"]) == (503, "uncertain")
    assert standby.http.get("/stand/v1/projects/new").status_code == 404


def test_a_websocket_closes_with_a_request_to_connect_again(
    pair: tuple[FrontProcess, FrontProcess], fronts: Fronts
) -> None:
    active, standby = pair
    address = f"ws://127.0.0.1:{standby.port}/banana/run/chat/echo"
    headers = {"X-Banana-API-Key": fronts.key}

    with connect(address, additional_headers=headers, open_timeout=60) as caller:
        caller.send("before")
        assert caller.recv(timeout=10) == "before"
        active.kill()
        with pytest.raises(ConnectionClosed):
            caller.recv(timeout=30)
        assert caller.close_code == 1012
    with connect(address, additional_headers=headers, open_timeout=60) as caller:
        caller.send("after")
        assert caller.recv(timeout=30) == "after"
