"""Websockets of an app by run URL, call route, front and host name: what passes, and what is refused."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from servers import free_port
from stands import Up

FRONT, HOSTED, NOBODY = free_port(), free_port(), free_port()
WAYS = ("run URL", "call route", "front", "host name")
LARGEST = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("websockets")


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Up]:
    with Up(
        folder / "data",
        fronts=[[FRONT, "app"], [HOSTED, "hosted"], [NOBODY, "nobody"]],
        settings={"max_message": LARGEST},
    ) as running:
        assert running.deploy("app", "websocket", environment={"ENDED": str(folder / "ended")})["state"] == "live"
        assert running.deploy("hosted", "potassium")["state"] == "live", running.log
        yield running


def open_(up: Up, way: str, path: str, **options: Any) -> ClientConnection:
    """A websocket to the app in one of the ways, with the key that the way wants."""
    url, headers = address(up, way)
    headers = {**headers, **options.pop("headers", {})}
    return connect(url + path, additional_headers=headers, proxy=None, open_timeout=60, **options)


def address(up: Up, way: str, project: str = "app") -> tuple[str, dict[str, str]]:
    key = {"x-banana-api-key": up.key}
    if way == "front":
        return f"ws://127.0.0.1:{ {'app': FRONT, 'hosted': HOSTED}[project] }", {}
    if way == "run URL":
        return f"ws://127.0.0.1:{up.port}/banana/run/{project}", key
    if way == "host name":
        return f"ws://{project}.run.banana.dev:{up.port}", key
    return f"ws://127.0.0.1:{up.port}/stand/v1/projects/{project}/call", {"authorization": f"Bearer {up.key}"}


def at_platform(up: Up, way: str) -> dict[str, Any]:
    """For a host name: a connection as a hosts file would make it."""
    return {"sock": socket.create_connection(("127.0.0.1", up.port))} if way == "host name" else {}


def last_row(up: Up, route: str) -> dict[str, Any]:
    """The newest call of that route, once it has ended."""
    limit = time.monotonic() + 20
    while True:
        with closing(sqlite3.connect(f"file:{up.data}/stand.sqlite?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            query = "SELECT * FROM calls WHERE route = ? ORDER BY number DESC LIMIT 1"
            row = database.execute(query, (route,)).fetchone()
        if row is not None and row["finished"] is not None:
            return dict(row)
        assert time.monotonic() < limit, dict(row) if row is not None else "there is no such call"
        time.sleep(0.05)


def last_end(folder: Path, path: str) -> dict[str, Any]:
    """How the app says that its newest websocket of that path ended."""
    limit = time.monotonic() + 20
    while True:
        file = folder / "ended"
        rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        if found := [row for row in rows if row["path"] == path]:
            return found[-1]
        assert time.monotonic() < limit, rows
        time.sleep(0.05)


@pytest.mark.parametrize("way", WAYS)
def test_text_and_bytes_pass_both_ways(up: Up, way: str) -> None:
    with open_(up, way, "/echo", **at_platform(up, way)) as websocket:
        for message in ("a banana", "", "\u20ac" * 1000, b"\x00\xff", b"", b"x" * 300_000):
            websocket.send(message)
            assert websocket.recv(timeout=30) == message


@pytest.mark.parametrize("way", WAYS)
def test_the_app_sees_path_and_headers_but_no_key(up: Up, way: str) -> None:
    headers = {"X-Mine": "a, b", "Cookie": "c=1", "X-Banana-API-Key": up.key}
    options = at_platform(up, way)
    with open_(up, way, "/seen?q=%0A2&empty=", headers=headers, **options) as websocket:
        seen = json.loads(websocket.recv(timeout=30))
        assert websocket.response is not None
        answered = websocket.response.headers

    names = [name for name, _ in seen["headers"]]
    assert seen["path"] == "/seen?q=%0A2&empty="
    assert ["x-mine", "a, b"] in seen["headers"]
    assert ["cookie", "c=1"] in seen["headers"]
    assert len(dict(seen["headers"])["x-banana-request-id"]) == 36
    assert up.key not in json.dumps(seen)
    assert len(names) == len(set(names))
    assert answered.get_all("set-cookie") == ["one=1; Path=/", "two=2"]
    assert answered["x-own"] == "mine"
    assert answered["x-banana-call-id"].startswith("call_")


@pytest.mark.needs("node")
def test_a_server_written_by_hand_in_node_takes_websockets(up: Up) -> None:
    assert up.deploy("node", "node")["state"] == "live", up.log
    url = f"ws://127.0.0.1:{up.port}/banana/run/node"
    options = {"additional_headers": {"x-banana-api-key": up.key}, "proxy": None, "open_timeout": 60}
    with connect(f"{url}/upper", **options) as websocket:
        for message in ("a banana", "ripe"):
            websocket.send(message)
            assert websocket.recv(timeout=30) == message.upper()

    with pytest.raises(InvalidStatus) as refused, connect(f"{url}/elsewhere", **options):
        pass
    assert (refused.value.response.status_code, refused.value.response.body) == (404, b"no websocket here")


@pytest.mark.parametrize("path", ["/a%2Fb/c%20d;p=1//e?x=%2F&y", "//seen?a=?", "/%E2%82%AC"])
def test_a_path_reaches_the_app_as_it_was_sent(up: Up, path: str) -> None:
    with socket.create_connection(("127.0.0.1", FRONT), timeout=30) as connection:
        connection.sendall(handshake(path))
        answer = connection.recv(4096).decode()

    assert answer.startswith("HTTP/1.1 101 "), answer
    assert last_row(up, path)["method"] == "WEBSOCKET"


def handshake(path: str, *lines: str) -> bytes:
    head = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{FRONT}", "Upgrade: websocket", "Connection: keep-alive, Upgrade"]
    head += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *lines]
    return "\r\n".join([*head, "", ""]).encode()


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["chat.v1"], "chat.v1"), (["other", "chat.v1", "chat.v2"], "chat.v2"), (["other"], None)]
)
def test_the_app_chooses_the_subprotocol(up: Up, offered: list[str], chosen: str | None) -> None:
    with open_(up, "run URL", "/echo", subprotocols=[Subprotocol(protocol) for protocol in offered]) as websocket:
        assert websocket.subprotocol == chosen


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1000, "bye"), (1001, ""), (4001, "no \u20ac"), (1011, "oh")])
def test_the_apps_close_code_reaches_the_caller_after_its_last_message(up: Up, code: int, reason: str) -> None:
    route = f"/close?code={code}&reason={reason.replace(' ', '%20').replace(chr(0x20AC), '%E2%82%AC')}"
    with open_(up, "call route", route) as websocket:
        assert websocket.recv(timeout=30) == "last words"
        with pytest.raises(ConnectionClosed):
            websocket.recv(timeout=30)

    assert (websocket.close_code, websocket.close_reason) == (code, reason)
    row = last_row(up, route)
    assert json.loads(row["answer"]) == {
        "closed_by": "app", "code": code, "reason": reason, "messages_received": 0, "messages_sent": 1,
    }  # fmt: skip
    assert row["error"] == ("the app closed the websocket with 1011: oh" if code == 1011 else None)


@pytest.mark.parametrize(("code", "reason"), [(1000, "done"), (1001, ""), (4999, "mine")])
def test_the_callers_close_code_reaches_the_app_after_its_last_message(
    up: Up, folder: Path, code: int, reason: str
) -> None:
    path = f"/ends-{code}"
    with open_(up, "run URL", path) as websocket:
        websocket.send("one")
        assert websocket.recv(timeout=30) == "one"
        websocket.close(code, reason)

    end = last_end(folder, path)
    assert (end["code"], end["reason"]) == (code, reason)
    row = last_row(up, path)
    assert (row["state"], row["status"], row["method"], row["attempts"]) == ("succeeded", 101, "WEBSOCKET", 1)
    assert json.loads(row["answer"])["messages_received"] == 1


def test_a_close_frame_without_a_code_stays_one(up: Up, folder: Path) -> None:
    with socket.create_connection(("127.0.0.1", FRONT), timeout=30) as connection:
        connection.sendall(handshake("/empty-close"))
        assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"\x88\x80\x00\x00\x00\x00")  # an empty, masked close frame
        assert last_end(folder, "/empty-close")["code"] == 1005


@pytest.mark.parametrize("way", WAYS)
def test_an_app_that_refuses_the_handshake_is_passed_on(up: Up, way: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_(up, way, "/deny", **at_platform(up, way))

    response = refused.value.response
    assert (response.status_code, response.body) == (403, b'{"detail": "not you"}')
    assert response.headers["x-own"] == "theirs"
    assert response.headers["x-banana-call-id"].startswith("call_")
    row = last_row(up, "/deny")
    assert (row["status"], row["state"], row["attempts"]) == (403, "failed", 1)


def test_a_redirect_of_the_handshake_is_the_callers_to_follow(up: Up) -> None:
    with socket.create_connection(("127.0.0.1", FRONT), timeout=30) as connection:
        connection.sendall(handshake("/moved"))
        answer = connection.recv(4096).decode().lower()

    assert answer.startswith("http/1.1 307 ")
    assert "location: /echo" in answer


@pytest.mark.parametrize(
    ("way", "headers", "status", "text"),
    [
        ("run URL", {}, 401, "An API key is required"),
        ("run URL", {"x-banana-api-key": "wrong"}, 401, "Invalid API key"),
        ("run URL", {"authorization": "Bearer KEY"}, 401, "An API key is required"),
        ("host name", {}, 401, "An API key is required"),
        ("call route", {}, 401, "an API key is required"),
        ("call route", {"authorization": "Bearer wrong"}, 401, "an API key is required"),
    ],
)
def test_a_websocket_wants_the_key_that_a_request_wants(
    up: Up, way: str, headers: dict[str, str], status: int, text: str
) -> None:
    url, _ = address(up, way)
    headers = {name: value.replace("KEY", up.key) for name, value in headers.items()}
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{url}/echo", additional_headers=headers, proxy=None, **at_platform(up, way))

    assert refused.value.response.status_code == status
    assert text in bytes(refused.value.response.body).decode()


@pytest.mark.parametrize(
    ("path", "status"), [("/banana/run/nobody/echo", 404), ("/stand/v1/projects/nobody/call/echo", 404)]
)
def test_a_project_that_is_not_there_is_named(up: Up, path: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{up.port}{path}", additional_headers={"x-banana-api-key": up.key}, proxy=None)

    assert refused.value.response.status_code == status


def test_a_front_whose_project_is_not_deployed_names_the_command(up: Up) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{NOBODY}/", proxy=None)

    assert refused.value.response.status_code == 503
    assert b"bananastand deploy FOLDER --name nobody" in bytes(refused.value.response.body)


@pytest.mark.parametrize("way", ["run URL", "call route", "front"])
def test_a_potassium_app_says_that_it_has_no_websockets(up: Up, way: str) -> None:
    url, headers = address(up, way, "hosted")
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{url}/", additional_headers=headers, proxy=None, open_timeout=60)

    assert refused.value.response.status_code == 404
    assert b"a Potassium app has no websockets: send JSON by POST" in bytes(refused.value.response.body)


@pytest.mark.parametrize(
    ("origin", "comes_in"), [("the front's own", True), ("http://evil.test", False), ("null", False)]
)
def test_a_page_of_another_origin_is_refused_and_the_apps_own_is_of_its_host(
    up: Up, origin: str, comes_in: bool
) -> None:
    if not comes_in:
        with pytest.raises(InvalidStatus) as refused:
            open_(up, "front", "/seen", headers={"Origin": origin})
        assert refused.value.response.status_code == 403
        assert b"may not use this platform" in bytes(refused.value.response.body)
        return
    with open_(up, "front", "/seen", headers={"Origin": f"http://127.0.0.1:{FRONT}"}) as websocket:
        headers = dict(json.loads(websocket.recv(timeout=30))["headers"])

    assert headers["origin"] == f"http://{headers['host']}"  # what servers that check it compare


@pytest.mark.parametrize(
    ("headers", "status", "text"),
    [
        ("Upgrade: spdy/3\r\nConnection: Upgrade", 501, "Upgrade: spdy/3 does not pass to apps"),
        ("Upgrade: websocket", 501, "came without Connection: Upgrade"),
        ("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk", 200, "{}"),
    ],
)
def test_other_upgrades_get_a_clear_answer(up: Up, headers: str, status: int, text: str) -> None:
    for way in ("front", "run URL", "call route"):
        port, path = (FRONT, "") if way == "front" else (up.port, address(up, way)[0].split(str(up.port))[1])
        head = f"GET {path}/healthcheck HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Banana-API-Key: {up.key}\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(f"{head}{headers}\r\n\r\n".encode())
            answer = b""
            while text.encode() not in answer and (piece := connection.recv(4096)):
                answer += piece
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), (way, answer)
        assert text.encode() in answer, way


def test_a_message_of_the_caller_that_is_too_long_ends_it_with_1009(up: Up, folder: Path) -> None:
    with open_(up, "run URL", "/too-long", compression=None) as websocket:
        websocket.send(b"x" * (LARGEST + 1))
        with pytest.raises(ConnectionClosed):
            websocket.recv(timeout=30)

    assert websocket.close_code == 1009
    assert last_end(folder, "/too-long")["code"] == 1009
    assert "1009" in last_row(up, "/too-long")["error"]


def test_a_message_of_the_app_that_is_too_long_ends_it_with_1009(up: Up, folder: Path) -> None:
    route = f"/big?bytes={LARGEST + 1}"
    with open_(up, "run URL", route, max_size=None) as websocket, pytest.raises(ConnectionClosed):
        websocket.recv(timeout=30)

    assert websocket.close_code == 1009
    assert websocket.close_reason == f"the app's message is longer than {LARGEST} bytes"
    assert last_end(folder, "/big")["code"] == 1009
    assert last_row(up, route)["state"] == "failed"


def test_an_app_waits_for_a_caller_that_does_not_read(up: Up, folder: Path) -> None:
    counter = folder / "flooded"
    with open_(up, "front", f"/flood?messages=2000&file={counter}", max_queue=1, compression=None) as websocket:
        websocket.recv(timeout=30)
        reached = settled(counter)
        assert reached < 1000  # of 125 MiB, what the sockets between them hold
        for _ in range(1999):
            websocket.recv(timeout=30)
        while counter.read_text() != "2000":
            time.sleep(0.01)


def test_a_caller_waits_for_an_app_that_does_not_read(up: Up, folder: Path) -> None:
    async def scenario() -> int:
        from websockets.asyncio.client import connect as connect_async

        sent = 0
        async with connect_async(
            f"ws://127.0.0.1:{FRONT}/deaf", proxy=None, compression=None, close_timeout=0.1
        ) as websocket:
            while sent < 2000:
                try:
                    async with asyncio.timeout(3):
                        await websocket.send(b"x" * 65536)
                except TimeoutError:
                    break
                sent += 1
            websocket.transport.abort()
        return sent

    assert asyncio.run(scenario()) < 1000


def settled(counter: Path) -> int:
    """The number in a file, once it has not changed for a while."""
    before = -1
    while True:
        time.sleep(1)
        now = int(counter.read_text() or 0)
        if now == before:
            return now
        before = now
