"""The life of a websocket as a call: its slot in the queue, limits, and ends that neither side chose."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from servers import free_port
from stands import Up


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path / "data", settings={"stop_grace": 8.0})
    try:
        yield running
    finally:
        if running.process.poll() is None:
            assert running.stop() == 0, running.log


def deploy(up: Up, name: str = "app", environment: dict[str, str] | None = None, **settings: int) -> None:
    ended = {"ENDED": str(up.data.parent / "ended"), "CLOSE_TIMEOUT": "2"}
    assert up.deploy(name, "websocket", environment={**ended, **(environment or {})})["state"] == "live", up.log
    if settings:
        assert up.http.patch(f"/stand/v1/projects/{name}", json=settings).status_code == 200


def open_(up: Up, path: str, name: str = "app", **options: Any) -> ClientConnection:
    headers = {"x-banana-api-key": up.key}
    url = f"ws://127.0.0.1:{up.port}/banana/run/{name}{path}"
    return connect(url, **{"additional_headers": headers, "proxy": None, "open_timeout": 60, **options})


def refusal(up: Up, path: str, **options: Any) -> None:
    """Try to open one. Raises InvalidStatus where that is refused."""
    with open_(up, path, **options):
        pass


def until(holds: Callable[[], Any], seconds: float = 30) -> Any:
    """What it gives once that is true."""
    limit = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < limit, "it did not come about in time"
        time.sleep(0.05)
    return value


def rows(data: Path, route: str | None = None) -> list[dict[str, Any]]:
    """All websockets, the oldest first."""
    with closing(sqlite3.connect(f"file:{data}/stand.sqlite?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        query = "SELECT * FROM calls WHERE method = 'WEBSOCKET' ORDER BY number"
        return [dict(row) for row in database.execute(query) if route in (None, row["route"])]


def over(data: Path, route: str) -> dict[str, Any]:
    """The one row of that route, once it has ended."""
    until(lambda: all(row["finished"] is not None for row in rows(data, route)) and rows(data, route))
    (row,) = rows(data, route)
    return row


def ends(up: Up, path: str) -> list[dict[str, Any]]:
    """How the app says that its websockets of that path have ended."""
    file = up.data.parent / "ended"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [row for row in rows if row["path"] == path]


def closed(websocket: ClientConnection) -> tuple[int | None, str | None]:
    """Code and reason, once it is closed."""
    with pytest.raises(ConnectionClosed):
        websocket.recv(timeout=30)
    return websocket.close_code, websocket.close_reason


def test_two_replicas_serve_two_websockets_and_the_third_waits(up: Up) -> None:
    deploy(up, max_replicas=2)
    third: list[int] = []

    def open_third() -> None:
        with open_(up, "/seen") as websocket:
            third.append(json.loads(websocket.recv(timeout=30))["pid"])

    with open_(up, "/seen") as first, open_(up, "/seen") as second:
        pids = {json.loads(websocket.recv(timeout=30))["pid"] for websocket in (first, second)}
        assert len(pids) == 2
        opening = threading.Thread(target=open_third)
        opening.start()
        until(lambda: len(rows(up.data)) == 3)
        opening.join(1.0)
        assert (third, rows(up.data)[2]["state"]) == ([], "queued")
        first.close()
        opening.join(30)
        assert third[0] in pids
    until(lambda: [row["state"] for row in rows(up.data)] == ["succeeded"] * 3)


def test_a_request_waits_for_a_websocket_and_a_websocket_for_a_request(up: Up) -> None:
    deploy(up, max_replicas=1)
    with open_(up, "/echo") as websocket:
        headers = {"x-banana-api-key": up.key}
        full = up.http.post("/banana/run/app/", json={}, headers=headers)
        answers: list[int] = []
        waits = threading.Thread(
            target=lambda: answers.append(up.http.get("/banana/run/app/healthcheck", headers=headers).status_code)
        )
        waits.start()
        waits.join(1.0)
        assert full.status_code == 400  # as Banana refused calls when all replicas were busy
        assert answers == []
        websocket.send("still there")
        assert websocket.recv(timeout=30) == "still there"
    waits.join(30)
    assert answers == [200]


def test_an_app_may_take_several_at_once(up: Up) -> None:
    deploy(up, max_replicas=1, concurrency=3)
    deploy(up)  # replicas keep the concurrency that they were started with
    with open_(up, "/seen") as first, open_(up, "/seen") as second, open_(up, "/seen") as third:
        opened = (first, second, third)
        assert len({json.loads(websocket.recv(timeout=30))["pid"] for websocket in opened}) == 1


def test_a_caller_that_leaves_while_it_waits_is_out_of_the_queue(up: Up) -> None:
    deploy(up, max_replicas=1)
    with open_(up, "/echo"):
        with pytest.raises(TimeoutError):
            refusal(up, "/waits", open_timeout=1.0)
        assert over(up.data, "/waits")["error"] == "the run was cancelled"
    assert ends(up, "/waits") == []


def test_a_caller_that_vanishes_frees_the_replica_and_the_app_learns_of_it(up: Up) -> None:
    deploy(up, max_replicas=1)
    with open_(up, "/vanishes") as websocket:
        websocket.send("one")
        assert websocket.recv(timeout=30) == "one"
        websocket.socket.shutdown(socket.SHUT_RDWR)

    until(lambda: ends(up, "/vanishes"))
    assert over(up.data, "/vanishes")["state"] == "succeeded"
    with open_(up, "/echo") as another:
        another.send("free")
        assert another.recv(timeout=30) == "free"


def test_a_caller_that_vanishes_frees_a_replica_that_does_not_listen(up: Up) -> None:
    deploy(up, max_replicas=1)
    with open_(up, "/deaf", close_timeout=0.1) as websocket:
        for _ in range(8):
            websocket.send(b"x" * 65536)
        websocket.socket.shutdown(socket.SHUT_RDWR)

    assert over(up.data, "/deaf")["status"] == 101
    with open_(up, "/echo") as another:
        another.send("free")
        assert another.recv(timeout=30) == "free"


def test_a_silent_websocket_ends_after_the_inference_timeout(up: Up) -> None:
    deploy(up, inference_timeout=5)
    with open_(up, "/quiet") as websocket:
        for _ in range(4):
            time.sleep(1.5)
            websocket.send("still there")  # each message begins the time again
            assert websocket.recv(timeout=30) == "still there"
        begun = time.monotonic()
        code, reason = closed(websocket)

    assert 4.0 < time.monotonic() - begun < 25
    assert code == 1001
    assert str(reason).startswith("no message passed for 5 s: send one from time to time")
    assert over(up.data, "/quiet")["status"] == 504
    until(lambda: [end["code"] for end in ends(up, "/quiet")] == [1001])


def test_an_app_that_leaves_the_handshake_unanswered_is_given_up(up: Up) -> None:
    deploy(up, inference_timeout=2)
    with pytest.raises(InvalidStatus) as refused:
        refusal(up, "/silent")

    assert refused.value.response.status_code == 504
    assert b"the app did not answer in 2 s" in bytes(refused.value.response.body)
    assert over(up.data, "/silent")["attempts"] == 1


def test_an_app_that_dies_closes_with_1011_and_its_end(up: Up) -> None:
    deploy(up)
    with open_(up, "/die") as websocket:
        websocket.send("now")
        code, reason = closed(websocket)

    assert code == 1011
    assert "the replica ended with status 7" in str(reason)
    row = over(up.data, "/die")
    assert (row["status"], row["attempts"], row["state"]) == (500, 1, "failed")
    assert "the replica ended with status 7" in row["error"]


def test_an_app_that_breaks_the_connection_off_closes_with_1011(up: Up) -> None:
    deploy(up)
    with open_(up, "/break") as websocket:
        websocket.send("now")
        assert closed(websocket) == (1011, "the app broke the connection off")
    assert over(up.data, "/break")["state"] == "failed"


def test_a_handshake_that_reached_the_app_is_not_repeated(up: Up) -> None:
    deploy(up)
    with pytest.raises(InvalidStatus) as refused:
        refusal(up, "/dies-first")

    assert refused.value.response.status_code == 502
    assert b"the app did not answer the websocket's handshake" in bytes(refused.value.response.body)
    assert over(up.data, "/dies-first")["attempts"] == 1


def test_an_app_that_does_not_start_says_why(up: Up) -> None:
    broken = up.data.parent / "broken"
    deploy(up, environment={"BROKEN": str(broken)})
    broken.touch()
    with open_(up, "/die") as websocket:
        websocket.send("now")
        closed(websocket)
    with pytest.raises(InvalidStatus) as refused:
        refusal(up, "/echo")

    assert refused.value.response.status_code == 500
    assert b"no model here" in bytes(refused.value.response.body)


def test_a_new_version_lets_a_websocket_finish_for_a_while(up: Up) -> None:
    deploy(up, min_replicas=1)
    with open_(up, "/drains") as websocket:
        deploy(up, environment={"VERSION": "2"})
        websocket.send("still there")
        assert websocket.recv(timeout=30) == "still there"
        code, reason = closed(websocket)

    assert code == 1012
    assert "its replica drains and 8 s are over; connect again" in str(reason)
    assert over(up.data, "/drains")["state"] == "failed"
    with open_(up, "/echo") as another:
        another.send("of the new version")
        assert another.recv(timeout=30) == "of the new version"


def test_a_removed_project_closes_its_websockets(up: Up) -> None:
    deploy(up)
    with open_(up, "/echo") as websocket:
        assert up.http.delete("/stand/v1/projects/app").status_code == 200
        assert closed(websocket) == (1001, "the project was removed")


def test_a_platform_that_stops_closes_websockets_at_once_and_takes_none_up_again(up: Up) -> None:
    deploy(up, max_replicas=1)
    refused: list[int] = []

    def wait() -> None:
        try:
            refusal(up, "/waits")
        except InvalidStatus as error:
            refused.append(error.response.status_code)

    with open_(up, "/open") as websocket:
        waiting = threading.Thread(target=wait)
        waiting.start()
        until(lambda: rows(up.data, "/waits"))
        begun = time.monotonic()
        up.process.terminate()
        code, _ = closed(websocket)
        took = time.monotonic() - begun
        waiting.join(30)
        assert up.ended() == 0, up.log

    assert code == 1012
    assert took < 10
    assert time.monotonic() - begun < 30
    assert refused == [503]
    assert [row["state"] for row in rows(up.data)] == ["failed", "failed"]
    assert "the platform stopped; connect again" in rows(up.data, "/open")[0]["error"]


def test_a_killed_platform_records_what_was_open_as_ended(tmp_path: Path) -> None:
    first = Up(tmp_path / "data")
    deploy(first, max_replicas=1)
    with open_(first, "/open") as websocket:
        websocket.send("one")
        websocket.recv(timeout=30)
        first.kill()
        with suppress(ConnectionClosed):
            websocket.recv(timeout=30)
    assert rows(tmp_path / "data", "/open")[0]["state"] == "running"

    with Up(tmp_path / "data", port=free_port()) as second:
        row = over(tmp_path / "data", "/open")
        assert (row["state"], row["attempts"], row["status"]) == ("failed", 1, 503)
        assert row["error"] == "the websocket was cut off: the platform stopped; connect again"
        with open_(second, "/echo") as another:
            another.send("again")
            assert another.recv(timeout=30) == "again"
        assert len(rows(tmp_path / "data")) == 2
