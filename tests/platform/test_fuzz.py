"""Arbitrary requests and arbitrary answers: each call ends once, no place in a replica is lost, the platform serves on.

FUZZ_CASES and FUZZ_SEED choose other cases for the slow test.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.errors import Refused
from bananastand.platform.http.headers import answer_headers
from bananastand.platform.platform import Platform
from bananastand.platform.store.projects import Project
from servers import free_port
from stands import Up, called, deployed, running

AT_ONCE = 16
TEXTS = (
    "/", "/a", "/\n", "/%0a", "/%00", "/a b", "/\u00e9", "/\u20ac", "/\ud800", "a", "", "*", "/?\r\nx: y", "/a%zz",
    "POST", "GET", "", "G T", "\u00e9", "a\nb", "\x00", "\x7f", "x" * 3000, "x-a", "x a", "value", " ", "\t", "\udfff",
)  # fmt: skip
BODIES = (
    b"", b"{}", b"[" * 50_000, b'{"a":' * 50_000, b'{"error":"\\ud800"}', b'{"error":{"message":"\\udfff\\u0000"}}',
    b'{"error":' + b"9" * 5000 + b"}", b"NaN", b'{"message":1e999}', b"\xff\xfe\x00", b"\x1f\x8b\x08", b"\n\n\r\n",
    b'{"started":true}', b'{"error":' + b"[" * 900 + b"]" * 900 + b"}", b"x" * 70_000, b"HTTP/1.1 200 OK\r\n\r\n",
)  # fmt: skip
HEADS = (
    b"content-length: %d", b"content-length: 5", b"content-length: -1", b"content-length: 99999999999999999999",
    b"transfer-encoding: chunked", b"transfer-encoding: gzip, chunked", b"connection: close", b"connection: x, \xff",
    b"content-type: text/html; charset=\xe9", b"x-own: \x00", b"x-own: \xff\xfe", b"x\xff: y", b": empty", b"none",
    b"x-own: a\r\n folded", b"content-encoding: br", b"x-endpoint-type: handler", b"retry-after: 9", b"upgrade: h2c",
    b"x-own: " + b"z" * 9000, b"set-cookie: a=1", b"set-cookie: b=2", b"trailer: x", b"content-length: 5, 5",
)  # fmt: skip


def bytes_of(chance: random.Random, most: int) -> bytes:
    return chance.randbytes(chance.randrange(most))


def answer_of(chance: random.Random) -> bytes:
    """What an app answers: HTTP mostly, and cut or changed at any byte now and then."""
    if chance.random() < 0.05:
        return bytes_of(chance, 300)
    usual = (200, 200, 200, 201, 302, 400, 404, 423, 429, 500, 503, 999, 101)
    status = chance.randrange(100, 1000) if chance.random() < 0.3 else chance.choice(usual)
    body = chance.choice(BODIES) if chance.random() < 0.8 else bytes_of(chance, 2000)
    heads = [b"content-length: %d" % len(body)] if chance.random() < 0.7 else []
    for _ in range(chance.choice((0, 0, 0, 1, 2, 3))):
        head = chance.choice(HEADS) if chance.random() < 0.8 else bytes_of(chance, 40) + b": " + bytes_of(chance, 40)
        heads.append(head % len(body) if b"%d" in head else head)
    if b"transfer-encoding: chunked" in heads and chance.random() < 0.5:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    raw = b"HTTP/1.1 %d %s\r\n" % (status, chance.choice((b"OK", b"OK", b"OK", b"", b"\xe9\x00")))
    raw += b"".join(head + b"\r\n" for head in heads) + b"\r\n" + body
    if chance.random() < 0.2:
        raw = raw[: chance.randrange(len(raw) + 1)]
    if chance.random() < 0.1 and raw:
        at = chance.randrange(min(len(raw), 400))
        raw = raw[:at] + bytes_of(chance, 9) + raw[at + 1 :]
    return raw


def text_of(chance: random.Random) -> str:
    if chance.random() < 0.7:
        return chance.choice(TEXTS)
    return "".join(chr(chance.choice((chance.randrange(128), chance.randrange(0x3000)))) for _ in range(5))


def request_of(chance: random.Random) -> dict[str, Any]:
    """What is submitted; most of it in order."""
    odd = chance.random() < 0.3
    return {
        "route": text_of(chance) if odd else chance.choice(("/", "/a/b?q=1", "/%C3%A9")),
        "method": text_of(chance) if odd and chance.random() < 0.3 else chance.choice(("POST", "GET", "PUT", "HEAD")),
        "headers": tuple((text_of(chance), text_of(chance)) for _ in range(chance.randrange(3))) if odd else (),
        "run_id": text_of(chance) if odd and chance.random() < 0.5 else None,
        "request_id": text_of(chance) if chance.random() < 0.2 else None,
    }


async def play(platform: Platform, project: Project, chance: random.Random, ends: Counter[str]) -> None:
    """One case, and a normal call after it."""
    then = chance.choice(("close", "close", "reset", "keep" if chance.random() < 0.04 else "close"))
    body = json.dumps({"raw": base64.b64encode(answer_of(chance)).decode(), "then": then}).encode()
    request = request_of(chance)
    try:
        pending = await platform.submit(project, request.pop("route"), body, **request)
    except Refused:
        ends["refused"] += 1
    else:
        outcome = await pending.outcome(60.0)
        assert outcome is not None, (pending.call, body[:500])
        ends["failed" if outcome.error else "succeeded"] += 1
        assert 200 <= outcome.status <= 599
        for name, value in answer_headers(outcome.headers, pending.call.id):
            assert not set(name + value) & {10, 13, 0}
        (outcome.error or "").encode()
        recorded = await platform.calls.find(pending.call.id)
        assert recorded is not None
        assert (recorded.state == "failed", recorded.status) == (bool(outcome.error), outcome.status)
        assert await platform.calls.answer(recorded) == outcome.body
    assert await called(platform, project, value={"n": 1}) == {"fine": True}


async def fuzz(data: Path, cases: int, seed: int) -> Counter[str]:
    ends: Counter[str] = Counter()
    async with running(data, attempts=2, keep_results=20.0) as platform:
        project = await deployed(
            platform, source="raw", concurrency=AT_ONCE, min_replicas=1, max_replicas=1, inference_timeout=15
        )
        (replica,) = platform.pool.of_project(project.id)
        numbers = iter(range(cases))

        async def player() -> None:
            for number in numbers:
                await play(platform, project, random.Random(f"{seed}/{number}"), ends)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(player())
        assert [survivor.id for survivor in platform.pool.of_project(project.id)] == [replica.id], (
            "no answer costs a replica"
        )
        assert (replica.inflight, replica.state) == (0, "ready")
        queue = platform.dispatcher.queue(project.id)
        assert (list(queue.waiting), queue.running, queue.isolated) == ([], {}, set())
        assert await platform.calls.unfinished() == []
    assert ends.total() == cases
    return ends


@pytest.fixture
def quick_deaths(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken connection is nobody's death here: nothing need be waited for."""
    monkeypatch.setattr("bananastand.platform.scheduling.attempts.DEATH_SECONDS", 0.02)


@pytest.mark.usefixtures("quick_deaths")
def test_whatever_is_asked_and_answered_every_call_ends_and_the_next_is_served(tmp_path: Path) -> None:
    ends = asyncio.run(fuzz(tmp_path, 400, 1))

    assert min(ends["refused"], ends["failed"], ends["succeeded"]) > 20, ends


@pytest.mark.slow
@pytest.mark.usefixtures("quick_deaths")
def test_random_requests_end_refused_failed_or_succeeded(tmp_path: Path) -> None:
    cases, seed = int(os.environ.get("FUZZ_CASES", "20000")), int(os.environ.get("FUZZ_SEED", "2"))
    ends = asyncio.run(fuzz(tmp_path, cases, seed))

    assert min(ends["refused"], ends["failed"], ends["succeeded"]) > cases // 20, ends


FRONT = free_port()


def raw_answer(port: int, request: bytes) -> bytes:
    """What comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


def door_request(chance: random.Random, up: Up) -> tuple[int, bytes]:
    """A port, and a request for it with something odd in its path, its headers or its method."""
    odd = chance.choice(
        (b"%0a", b"%00", b"%7f", b"%0d%0ax:y", b"\xe9", b"%C3%A9", b"%", b"%zz", b"?%0a", b"\x01", b"a")
    )
    prefix = chance.choice((b"", b"/banana/run/app", b"/stand/v1/projects/app/call"))
    head = chance.choice(
        (b"x-odd: \xff", b"x-odd: \x01", b"x-odd: a\tb", b"x odd: a", b"x-banana-request-id: \xe9\x02")
    )
    method = chance.choice((b"POST", b"GET", b"DELETE", b"OPTIONS", b"BREW"))
    heads = [b"host: 127.0.0.1", b"x-banana-api-key: " + up.key.encode(), b"connection: close", b"content-length: 2"]
    heads += [head] * (chance.random() < 0.5)
    path = prefix + b"/" + odd * (chance.random() < 0.8)
    return FRONT if not prefix else up.port, b"\r\n".join((method + b" " + path + b" HTTP/1.1", *heads, b"", b"{}"))


def test_whatever_comes_to_a_door_the_next_call_is_served(tmp_path: Path) -> None:
    with Up(tmp_path / "data", fronts=[[FRONT, "app"]]) as up:
        assert up.deploy(source="raw")["state"] == "live"
        chance, statuses = random.Random(3), Counter[bytes]()
        for _ in range(300):
            port, request = door_request(chance, up)
            answer = raw_answer(port, request)
            statuses[answer[9:12]] += 1
            assert not answer.startswith(b"HTTP/1.1 5"), (request, answer)
        assert statuses[b"200"] > 30
        assert statuses[b"400"] > 30
        for _ in range(3):
            assert up.http.post("/stand/v1/projects/app/call/", json={}).json() == {"fine": True}
    assert "Traceback" not in up.log


def test_an_id_of_a_run_that_no_header_can_carry_is_refused_by_start(tmp_path: Path) -> None:
    with Up(tmp_path / "data") as up:
        assert up.deploy(source="raw")["state"] == "live"
        body = {"apiKey": up.key, "modelKey": "app", "modelInputs": {}, "startOnly": False}
        for id in ("\u00e9", "a\nb", "\u20ac", "\x00", " ", "x" * 2000):
            refused = up.http.post("/banana/start/v4", json={**body, "id": id}).json()["message"]
            assert refused.startswith("error: id: ")
            assert refused.endswith("use 1 to 1024 printable ASCII characters")
        assert up.http.post("/banana/start/v4", json={**body, "id": "fine"}).json()["modelOutputs"] == [{"fine": True}]
