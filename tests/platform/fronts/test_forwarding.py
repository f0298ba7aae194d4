"""A front that stands by serves its callers as the active one does."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from servers import free_port
from several_fronts import FrontProcess, Fronts, wait_for

pytestmark = pytest.mark.needs("postgres")
CALL = "/stand/v1/projects/app/call"


@dataclass(frozen=True)
class Pair:
    """Two fronts; `port` is the echo project's own on the one that stands by."""

    fronts: Fronts
    active: FrontProcess
    standby: FrontProcess
    port: int


@pytest.fixture(scope="module")
def pair(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    fronts, port = Fronts(tmp_path_factory.mktemp("fronts"), database), free_port()
    try:
        active = fronts.all[0]
        for name, source in (("app", "small"), ("echo", "echo"), ("chat", "websocket")):
            fronts.deploy(active, name, source)
        yield Pair(fronts, active, fronts.add_standby(fronts=[[port, "echo"]]), port)
    finally:
        fronts.close()


def test_banana_run_start_and_check_work_through_a_standby(pair: Pair) -> None:
    http, key = pair.standby.http, {"X-Banana-API-Key": pair.fronts.key}
    body = {"apiKey": pair.fronts.key, "modelKey": "app", "modelInputs": {"n": 1}}

    run = http.post("/banana/run/app/", json={"n": 1}, headers=key)
    finished = http.post("/banana/start/v4", json=body).json()
    started = http.post("/banana/start/v4", json={**body, "startOnly": True}).json()
    check = {"apiKey": pair.fronts.key, "callID": started["callID"], "longPoll": True}
    checked = http.post("/banana/check/v4", json=check).json()

    assert run.json()["got"] == {"n": 1}
    assert run.headers["x-banana-call-id"]
    assert finished["modelOutputs"][0]["got"] == {"n": 1}
    assert checked["modelOutputs"][0]["got"] == {"n": 1}


def test_an_app_gets_what_the_caller_sent_and_the_caller_its_answer(pair: Pair) -> None:
    content = bytes(range(256)) * 1000  # beyond what is kept in memory
    headers = {"content-type": "image/x-odd", "x-banana-request-id": "mine"}

    sent = pair.standby.http.put("/stand/v1/projects/echo/call/a%2Fb?x=%20", content=b"hello", headers=headers).json()
    octets = pair.standby.http.post(
        "/banana/run/echo/octets",
        content=content,
        headers={**headers, "x-banana-request-id": "other", "x-banana-api-key": pair.fronts.key},
    )
    sets = pair.standby.http.get("/stand/v1/projects/echo/call/sets")
    head = pair.standby.http.head("/stand/v1/projects/echo/call/sets")

    assert (sent["method"], sent["target"]) == ("PUT", "/a%2Fb?x=%20")
    assert ["x-banana-request-id", "mine"] in sent["headers"]
    assert not [name for name, _ in sent["headers"] if "bananastand" in name or name == "authorization"]
    assert octets.content == content
    assert octets.headers["content-type"] == "image/x-odd"
    assert sets.status_code == 201
    assert sets.headers.get_list("set-cookie") == ["one=1; Path=/", "two=2"]
    assert (head.status_code, head.content) == (201, b"")


def test_events_arrive_as_the_app_sends_them(pair: Pair) -> None:
    arrived = list[float]()
    with pair.standby.http.stream("POST", f"{CALL}/events", json={"events": 6}) as answer:
        for line in answer.iter_lines():
            if line:
                arrived.append(time.monotonic())

    assert len(arrived) == 6
    assert arrived[-1] - arrived[0] > 0.15, "the events came together"


def test_a_body_that_arrives_in_pieces_reaches_the_app(pair: Pair) -> None:
    pieces = (piece for piece in (b"one", b"two" * 50_000, b"three"))

    octets = pair.standby.http.post("/stand/v1/projects/echo/call/octets", content=pieces)

    assert octets.content == b"one" + b"two" * 50_000 + b"three"


def test_a_key_created_on_one_front_works_on_all_and_a_revoked_one_on_none(pair: Pair) -> None:
    for one, other in ((pair.standby, pair.active), (pair.active, pair.standby)):
        key = one.http.post("/stand/v1/keys", json={"name": "new"}).json()
        with_it = {"authorization": f"Bearer {key['key']}"}
        assert other.http.get("/stand/v1/projects", headers=with_it).status_code == 200
        assert one.http.delete(f"/stand/v1/keys/{key['id']}").status_code == 200
        assert other.http.get("/stand/v1/projects", headers=with_it).status_code == 401


def test_settings_changed_on_a_standby_count_on_the_active_front(pair: Pair) -> None:
    pair.standby.http.patch("/stand/v1/projects/app", json={"max_replicas": 2}).raise_for_status()

    assert pair.active.http.get("/stand/v1/projects/app").json()["max_replicas"] == 2


def test_websockets_are_relayed_with_protocol_denial_and_close(pair: Pair) -> None:
    address = f"ws://127.0.0.1:{pair.standby.port}/banana/run/chat"
    headers = {"X-Banana-API-Key": pair.fronts.key}

    with connect(f"{address}/echo", additional_headers=headers, subprotocols=[Subprotocol("chat.v1")]) as caller:
        assert caller.subprotocol == "chat.v1"
        for message in ("text", b"bytes", "x" * 100_000):
            caller.send(message)
            assert caller.recv(timeout=10) == message
    with pytest.raises(InvalidStatus) as denied:
        connect(f"{address}/deny", additional_headers=headers)
    assert denied.value.response.status_code == 403
    assert denied.value.response.headers["x-own"] == "theirs"
    with pytest.raises(InvalidStatus) as unauthorized:
        connect(f"{address}/echo")
    assert unauthorized.value.response.status_code == 401


def test_a_projects_own_port_on_a_standby_needs_no_key(pair: Pair) -> None:
    answer = httpx2.get(f"http://127.0.0.1:{pair.port}/anything", trust_env=False)

    assert answer.json()["target"] == "/anything"
    assert httpx2.get(f"http://127.0.0.1:{pair.port}/readyz", trust_env=False).json() == {"ready": True}


def test_a_standby_checks_host_and_origin_itself(pair: Pair) -> None:
    for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
        answer = pair.standby.http.get("/stand/v1/projects", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


def test_a_caller_that_leaves_a_standby_cancels_its_call(pair: Pair) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        pair.standby.http.post(f"{CALL}/", json={"seconds": 20}, timeout=0.5)

    wait_for(lambda: not pair.active.http.get("/stand/v1/projects/app").json()["running"], 10)


def test_health_and_metrics_say_which_front_is_active(pair: Pair) -> None:
    active, standby = pair.active.health(), pair.standby.health()
    own, others = pair.active.http.get("/metrics").text, pair.standby.http.get("/metrics").text

    assert (active["role"], standby["role"]) == ("active", "standby")
    assert active["active"] == standby["active"] == active["front"] != standby["front"]
    assert f'bananastand_front_active{{front="{active["front"]}"}} 1.0' in own
    assert f'bananastand_front_active{{front="{standby["front"]}"}} 0.0' in others
    listed = pair.standby.http.get("/stand/v1/fronts").json()["fronts"]
    assert [(front["name"], front["active"]) for front in listed] == [
        (active["front"], True),
        (standby["front"], False),
    ]
    assert standby["front"] in pair.standby.http.get("/").text


def test_the_door_between_fronts_opens_to_holders_of_a_certificate_only(pair: Pair, database: str) -> None:
    with psycopg.connect(database) as connection:
        ((url,),) = connection.execute("SELECT url FROM active_front").fetchall()
    address = url.removeprefix("https://").split(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    answer = b""
    plain = socket.create_connection((address[0], int(address[1])), 5)
    with contextlib.suppress(OSError), context.wrap_socket(plain) as secure:
        secure.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        answer = secure.recv(100)
    assert answer == b""


def test_a_header_of_the_fronts_own_is_worth_nothing_from_a_caller(pair: Pair) -> None:
    forged = "eyJpZCI6IG51bGwsICJwcm9qZWN0IjogImVjaG8iLCAicHJpdmF0ZSI6IGZhbHNlLCAic2NoZW1lIjogImh0dHAifQ=="
    for front in (pair.active, pair.standby):
        url = f"http://127.0.0.1:{front.port}/stand/v1/projects"
        answer = httpx2.get(url, headers={"x-bananastand-forwarded": forged}, trust_env=False)
        assert answer.status_code == 401


def test_the_close_frame_of_the_app_reaches_the_caller(pair: Pair) -> None:
    address = f"ws://127.0.0.1:{pair.standby.port}/banana/run/chat/close?code=4001&reason=enough"

    with connect(address, additional_headers={"X-Banana-API-Key": pair.fronts.key}) as caller:
        assert caller.recv(timeout=10) == "last words"
        with pytest.raises(ConnectionClosed):
            caller.recv(timeout=10)
        assert (caller.close_code, caller.close_reason) == (4001, "enough")
