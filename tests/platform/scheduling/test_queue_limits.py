"""Bodies of calls on the disk, a queue's limits in each API's dialect, and request ids that come again."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bananastand.platform.errors import TooBusy
from bananastand.platform.scheduling.pending_call import PendingCall
from bananastand.platform.store.blobs import Blobs
from bananastand.platform.store.bodies import BodyReceiver, FileBody, TooLarge
from bananastand.platform.store.calls import CallOutcome
from servers import free_port
from stands import Up, deployed, running, until

ECHO, APP, FULL = free_port(), free_port(), free_port()
LARGE = bytes(range(256)) * 2**13  # 2 MiB


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    fronts = [[ECHO, "echo"], [APP, "hosted"], [FULL, "full"]]
    with Up(tmp_path_factory.mktemp("bodies") / "data", fronts=fronts, settings={"queue_length": 3}) as running:
        for name, source in (("echo", "echo"), ("hosted", "potassium"), ("full", "small")):
            assert running.deploy(name, source)["state"] == "live", running.log
        yield running


def post(port: int, path: str = "/", **options: Any) -> httpx2.Response:
    return httpx2.post(f"http://127.0.0.1:{port}{path}", timeout=60, trust_env=False, **options)


def test_a_large_body_reaches_an_app_of_its_own_server_whole(up: Up) -> None:
    answer = post(ECHO, "/octets", content=LARGE, headers={"content-type": "application/x-own"})

    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(LARGE).digest()
    assert answer.headers["content-type"] == "application/x-own"


def test_large_bodies_reach_a_potassium_app_whole_and_beside_each_other(up: Up) -> None:
    texts = [f"{n}" * 2**20 for n in range(3)]
    answers: list[Any] = [None] * 3

    def ask(number: int) -> None:
        answers[number] = post(APP, json={"text": texts[number]}).json()["got"]["text"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == texts


def files(up: Up) -> list[str]:
    return sorted(path.name for path in (up.data / "bodies").iterdir())


def test_what_a_caller_leaves_unfinished_is_removed(up: Up) -> None:
    with socket.create_connection(("127.0.0.1", ECHO), timeout=20) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 4000000\r\n\r\n" + LARGE)
        limit = time.monotonic() + 20
        while not any(name.endswith(".upload") for name in files(up)):
            assert time.monotonic() < limit, files(up)
            time.sleep(0.02)
    while any(name.endswith(".upload") for name in files(up)):
        assert time.monotonic() < limit, files(up)
        time.sleep(0.02)
    assert "Traceback" not in up.log


def test_a_body_that_is_too_long_is_refused_and_removed(up: Up) -> None:
    answer = post(ECHO, content=b"x" * (2**26 + 1))

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert not [name for name in files(up) if name.endswith(".upload")]


@pytest.fixture
def full(up: Up) -> Iterator[Up]:
    """One call runs, and as many wait as may."""
    up.http.patch("/stand/v1/projects/full", json={"max_replicas": 1}).raise_for_status()
    callers = [threading.Thread(target=post, args=(FULL,), kwargs={"json": {"seconds": 4}}) for _ in range(4)]
    for caller in callers:
        caller.start()
    limit = time.monotonic() + 30
    while up.http.get("/stand/v1/status").json()["queued"] < 3:
        assert time.monotonic() < limit, up.log
        time.sleep(0.02)
    yield up
    for caller in callers:
        caller.join()


def test_a_full_queue_is_said_in_each_apis_own_words(full: Up) -> None:
    body = {"apiKey": full.key, "modelKey": "full", "modelInputs": {}, "id": "mine", "startOnly": True}
    token = {"api_token": f"at_r{full.key.replace('-', '')}"}

    front = post(FULL, json={})
    own = full.http.post("/stand/v1/projects/full/call/", json={})
    banana = full.http.post("/banana/start/v4/", json=body)
    second = full.http.post("/banana/start/v2/", json=body)
    gateway = full.http.post(
        "/lowcodeapi/bananadev/v1/start", params=token, json={"modelKey": "full", "modelInputs": {}}
    )

    for answer in (front, own, banana, second, gateway):
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5"), answer.text
    assert front.json()["error"] == own.json()["error"] | {"code": "too_busy"}
    assert front.json()["error"]["message"].startswith("3 calls wait in the queue of full, its limit")
    assert banana.json().keys() == {
        "id", "message", "created", "apiVersion", "callID", "finished", "modelOutputs",
    }  # fmt: skip
    assert (banana.json()["id"], banana.json()["callID"], banana.json()["finished"]) == ("mine", "", False)
    assert banana.json()["message"].startswith("error: 3 calls wait")
    assert second.json()["message"].startswith("error: 3 calls wait")
    assert gateway.json()["message"].startswith("3 calls wait")


async def test_the_size_of_a_queues_bodies_is_limited_too(tmp_path: Path) -> None:
    async with running(tmp_path, queue_bytes=100_000) as platform:
        project = platform.projects.create("app")
        platform.deploy("app", "hangs")
        first = await platform.submit(project, "/", b"x" * 70_000)
        with pytest.raises(TooBusy, match="hold 70000 bytes"):
            await platform.submit(project, "/", b"x" * 70_000)
        await platform.submit(project, "/", b"x" * 20_000)
        await platform.dispatcher.cancel(first.call.id)
        await until(lambda: platform.dispatcher.queue(project.id).size == 20_000)
        await platform.submit(project, "/", b"x" * 70_000)
    async with running(tmp_path, queue_bytes=100_000) as platform:
        project = platform.projects.named("app")
        assert platform.dispatcher.queue(project.id).size == 70_000, "what lies in files counts after a restart"


async def test_bodies_that_are_being_received_are_limited_together(tmp_path: Path) -> None:
    async def stream(size: int, held: asyncio.Event) -> Any:
        yield b"x" * size
        await held.wait()

    receiver, held = BodyReceiver(Blobs(tmp_path), 1_000_000), asyncio.Event()
    first = asyncio.create_task(receiver.receive(stream(700_000, held), 10**6))
    await until(lambda: receiver.unfinished == 700_000)
    with pytest.raises(TooBusy, match="too much is being uploaded"):
        await receiver.receive(stream(700_000, held), 10**6)
    with pytest.raises(TooLarge):
        await receiver.receive(stream(1_000_001, held), 10**6)
    held.set()
    body = await first
    assert isinstance(body, FileBody)
    assert body.digest == hashlib.sha256(b"x" * 700_000).hexdigest()
    assert (receiver.unfinished, len(list(tmp_path.iterdir()))) == (0, 1)
    body.discard()
    assert not list(tmp_path.iterdir())
    assert await receiver.receive(stream(10, held), 10**6) == b"x" * 10


def test_a_request_id_with_another_body_is_a_conflict_in_the_platforms_own_api(up: Up) -> None:
    def call(body: Any, id: str, port: int | None = None) -> httpx2.Response:
        headers = {"x-banana-request-id": id}
        if port is not None:
            return post(port, json=body, headers=headers)
        return up.http.post("/stand/v1/projects/hosted/call/", json=body, headers=headers)

    first, again, other = call({"n": 1}, "a"), call({"n": 1}, "a"), call({"n": 2}, "a")
    large = call({"n": "x" * 100_000}, "b"), call({"n": "x" * 100_000}, "b"), call({"n": "y" * 100_000}, "b")
    front = call({"n": 1}, "c", APP), call({"n": 2}, "c", APP)

    assert first.headers["x-banana-call-id"] == again.headers["x-banana-call-id"]
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")
    assert "'a' belongs to another call" in other.json()["error"]["message"]
    assert large[0].headers["x-banana-call-id"] == large[1].headers["x-banana-call-id"]
    assert large[2].status_code == 409
    assert [response.status_code for response in front] == [200, 200], "a front has no keys that ids could belong to"


def test_two_calls_at_once_under_one_id_are_one_call_and_a_conflict(up: Up) -> None:
    answers = list[int]()

    def call(number: int) -> None:
        answer = up.http.post(
            "/stand/v1/projects/echo/call/", content=str(number).encode(), headers={"x-banana-request-id": "race"}
        )
        answers.append(answer.status_code)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [200, 409, 409, 409, 409, 409]


def test_uploads_that_a_kill_left_are_removed_at_the_next_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = Up(data, fronts=[[free_port(), "app"]])
    port = int(first.log.partition("app                   http://127.0.0.1:")[2].partition("/")[0])
    assert first.deploy("app", "echo")["state"] == "live"
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 4000000\r\n\r\n" + LARGE)
        limit = time.monotonic() + 20
        while not any(name.endswith(".upload") for name in files(first)):
            assert time.monotonic() < limit
            time.sleep(0.02)
        first.kill()
    assert any(name.endswith(".upload") for name in files(first))
    with Up(data) as second:
        assert not any(name.endswith(".upload") for name in files(second))


def test_an_app_that_is_sent_json_reads_it_though_it_came_in_a_file(up: Up) -> None:
    value = {"prompt": "banana " * 20_000}

    answer = up.http.post("/stand/v1/projects/hosted/call/", content=json.dumps(value).encode(),
                          headers={"content-type": "application/json"})  # fmt: skip

    assert answer.json()["got"] == value


def test_answers_that_are_held_share_a_budget_and_leave_it_with_their_callers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, answer_memory=1_000_000) as platform:
            project = await deployed(platform)

            async def large() -> tuple[PendingCall, CallOutcome | None]:
                pending = await platform.submit(project, "/large", b'{"bytes": 800000}')
                return pending, await pending.outcome(30)

            first, answered = await large()
            _, refused = await large()
            small = await (await platform.submit(project, "/", b"{}")).outcome(30)
            del first
            _, again = await large()

            statuses = [outcome and outcome.status for outcome in (answered, refused, small, again)]
            assert statuses == [200, 503, 200, 200]
            assert refused is not None
            assert refused.error == "the platform holds too many large answers: try again in a moment"

    asyncio.run(scenario())


def test_an_answer_larger_than_the_budget_is_passed_on_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, answer_memory=100_000) as platform:
            project = await deployed(platform)
            pending = await platform.submit(project, "/large", b'{"bytes": 800000}')
            outcome = await pending.outcome(30)
            assert outcome is not None
            assert (outcome.status, len(outcome.body) > 800_000) == (200, True)

    asyncio.run(scenario())
