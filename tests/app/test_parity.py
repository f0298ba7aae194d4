"""One table of requests to Potassium's own server and to our host: the same answers, or a difference that is listed.

The differences are those of docs/serving.md.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
import time

import psutil
import pytest

from servers import JSON, Server, hosted, potassium

HEAD = b"Host: x\r\nContent-Type: application/json\r\n"

SAME: dict[str, tuple[str, str, bytes | str | None, dict[str, str]]] = {
    "good": ("POST", "/", '{"a": [1, 2.5, null, "ü"]}'.encode(), JSON),
    "a number alone": ("POST", "/", "3", JSON),
    "null": ("POST", "/", "null", JSON),
    "not a number": ("POST", "/", '{"a": NaN}', JSON),
    "utf-16": ("POST", "/", '{"a": "ü"}'.encode("utf-16"), JSON),
    "charset": ("POST", "/", "{}", {"Content-Type": "application/json; charset=utf-8"}),
    "another kind of json": ("POST", "/", "{}", {"Content-Type": "application/ld+json"}),
    "its request id": ("POST", "/", "{}", {**JSON, "X-Banana-Request-Id": "mine"}),
    "a header": ("POST", "/", "{}", {**JSON, "X-Some": "here, there"}),
    "a large body": ("POST", "/", json.dumps("x" * 3_000_000), JSON),
    "query": ("POST", "/?a=b", "{}", JSON),
    "a body of its own": ("POST", "/plain", "{}", JSON),
    "stream": ("POST", "/stream", "{}", JSON),
    "stream of another type": ("POST", "/stream", '{"type": "text/plain"}', JSON),
    "background": ("POST", "/background", "{}", JSON),
    "warm-up": ("POST", "/_k/warmup", "{}", JSON),
    "warm-up without a body": ("POST", "/_k/warmup", None, {}),
    "unknown route": ("POST", "/nothing/here", "{}", JSON),
    "unknown route without a body": ("POST", "/nothing", None, {}),
    "status by POST": ("POST", "/_k/status", "{}", JSON),
    "wrong method": ("GET", "/", None, {}),
    "wrong method, unknown route": ("PUT", "/nothing", "{}", JSON),
    "delete": ("DELETE", "/", None, {}),
    "warm-up by GET": ("GET", "/_k/warmup", None, {}),
}


@pytest.mark.parametrize("name", SAME)
def test_both_servers_answer_the_same(ours: Server, theirs: Server, name: str) -> None:
    exchange = SAME[name]

    (our_status, our_headers, our_body), (status, headers, body) = (s.request(*exchange) for s in (ours, theirs))

    assert (our_status, _without_ids(our_body)) == (status, _without_ids(body))
    assert our_headers.get("content-type") == headers.get("content-type")
    assert _listed(our_headers.get("allow")) == _listed(headers.get("allow"))
    assert our_headers.get("x-own") == headers.get("x-own")


def _without_ids(body: bytes) -> bytes:
    """A random request id is no difference."""
    return re.sub(rb'"id": "[0-9a-f-]{36}"', b'"id": ...', body)


def _listed(allow: str | None) -> set[str]:
    return set((allow or "").split(", "))


def test_both_tell_the_same_of_themselves(ours: Server, theirs: Server) -> None:
    statuses = [json.loads(server.request("GET", "/__status__")[2]) for server in (ours, theirs)]

    assert list(statuses[0]) == list(statuses[1]) == ["gpu_available", "idle_time", "inference_time", "sequence_number"]
    assert [type(value) for value in statuses[0].values()] == [type(value) for value in statuses[1].values()]


def test_the_status_counts_as_potassium_does() -> None:
    with hosted() as server:
        for path, body in (("/", "{}"), ("/", "not json"), ("/nothing", "{}"), ("/_k/warmup", None)):
            server.request("POST", path, body, JSON)
        status = json.loads(server.request("GET", "/_k/status")[2])
        waiting = threading.Thread(target=server.post, args=("/sleep", {"seconds": 0.5}))
        waiting.start()
        time.sleep(0.25)
        busy = json.loads(server.request("GET", "/_k/status")[2])
        waiting.join()

    assert (status["sequence_number"], status["gpu_available"], status["inference_time"]) == (4, True, 0)
    assert (busy["sequence_number"], busy["gpu_available"], busy["idle_time"]) == (5, False, 0)
    assert 100 <= busy["inference_time"] <= 2000


@pytest.mark.parametrize(
    "text",
    [
        b"POST / HTTP/1.0\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nConnection: close\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nConnection: close\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nConnection: close\r\nx-SOME: a\r\nX-Some: b\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}",
    ],
    ids=["HTTP/1.0", "HTTP/1.1", "a body in chunks", "a header twice"],
)
def test_both_servers_answer_the_same_bytes(ours: Server, theirs: Server, text: bytes) -> None:
    (our_head, our_body), (head, body) = (server.raw(text).split(b"\r\n\r\n", 1) for server in (ours, theirs))

    assert our_head.split(b"\r\n")[0] == head.split(b"\r\n")[0] == b"HTTP/1.1 200 OK"
    assert _without_ids(our_body) == _without_ids(body)


@pytest.mark.parametrize("server", ["ours", "theirs"])
def test_a_slow_client_holds_nobody_up(server: str, request: pytest.FixtureRequest) -> None:
    host: Server = request.getfixturevalue(server)
    with socket.create_connection(("127.0.0.1", host.port)) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 100\r\n\r\n{")
        started = time.monotonic()
        assert host.post("/", 1)[0] == 200
        assert time.monotonic() - started < 2


# The listed differences, each with what Potassium does.


@pytest.mark.parametrize(
    ("body", "headers", "code", "message"),
    [
        ("{not json", JSON, "invalid_json", "the body is not JSON: Expecting property name"),
        ("", JSON, "invalid_json", "the body is not JSON: Expecting value"),
        (b"\xff\xfe\xff", JSON, "invalid_json", "the body is not JSON: "),
        ("[" * 100_000, JSON, "invalid_json", "the body is nested too deeply"),
        ("{}", {}, "invalid_content_type", "Content-Type must be application/json, not ''"),
        ("{}", {"Content-Type": "text/plain"}, "invalid_content_type", "Content-Type must be application/json, not 't"),
    ],
)
def test_what_is_no_json_is_said_where_potassium_says_nothing(
    ours: Server, theirs: Server, body: bytes | str, headers: dict[str, str], code: str, message: str
) -> None:
    status, _, answer = ours.request("POST", "/", body, headers)

    payload = json.loads(answer)["error"]
    assert (status, payload["code"], payload["field"]) == (400, code, None)
    assert payload["message"].startswith(message)
    assert theirs.request("POST", "/", body, headers)[::2] == (400, b"")


def test_a_raising_handler_gives_an_id_where_potassium_gives_its_traceback(ours: Server, theirs: Server) -> None:
    status, payload = ours.post("/fails", {})
    their_status, _, their_body = theirs.request("POST", "/fails", "{}", JSON)

    assert (status, payload["error"]["code"]) == (500, "internal")
    assert "secret" not in json.dumps(payload)
    error_id = payload["error"]["message"].rpartition(" ")[2]
    ours.wait_until(lambda: "a secret of the server" in ours.log)
    assert f"error {error_id}\nTraceback" in ours.log
    assert their_status == 500
    assert b"a secret of the server" in their_body


def test_a_handler_without_a_response_gives_an_id_too(ours: Server, theirs: Server) -> None:
    status, payload = ours.post("/no-response", {})
    their_status, _, their_body = theirs.request("POST", "/no-response", "{}", JSON)

    assert (status, payload["error"]["code"]) == (500, "internal")
    assert their_status == 500
    assert b"Potassium Response object not returned" in their_body


def test_a_header_that_would_smuggle_another_is_an_error_of_both(ours: Server, theirs: Server) -> None:
    status, headers, body = ours.request("POST", "/odd-header", "{}", JSON)
    their_status, their_headers, their_body = theirs.request("POST", "/odd-header", "{}", JSON)

    assert (status, json.loads(body)["error"]["code"]) == (500, "internal")
    assert their_status == 500
    assert b"<h1>Internal Server Error</h1>" in their_body
    assert "set-cookie" not in {**headers, **their_headers}


def test_a_stream_that_fails_ends_with_an_error_event_where_potassium_hangs(ours: Server) -> None:
    status, _, body = ours.request("POST", "/stream", '{"fails": true}', JSON)

    events = body.decode().split("\n\n")
    assert status == 200
    assert events[:3] == ["data: 0", "data: 1", "data: 2"]
    assert events[3].startswith('event: error\ndata: {"error": {"code": "internal"')
    assert "middle" not in events[3]
    assert ours.post("/", 1)[0] == 200  # the slot is free
    assert json.loads(ours.request("GET", "/_k/status")[2])["gpu_available"] is True
    with potassium() as theirs:  # its status is wrong from here on
        reading = http.client.HTTPConnection("127.0.0.1", theirs.port, timeout=1)
        with contextlib.closing(reading):
            reading.request("POST", "/stream", '{"fails": true}', JSON)
            with pytest.raises(TimeoutError):
                reading.getresponse().read()
        assert theirs.post("/", 1)[0] == 200
        assert json.loads(theirs.request("GET", "/_k/status")[2])["gpu_available"] is False


def test_a_failing_stream_of_another_type_breaks_off(ours: Server) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        ours.request("POST", "/stream", '{"fails": true, "type": "text/plain"}', JSON)
    assert ours.post("/", 1)[0] == 200


def test_a_caller_that_leaves_calls_its_handler_off_where_potassium_runs_on(ours: Server, theirs: Server) -> None:
    took = list[float]()
    for server in (ours, theirs):
        started = time.monotonic()
        server.leave("/sleep", {"seconds": 2}, after=0.2)
        status, payload = server.post("/seen", {})
        took.append(time.monotonic() - started)
        assert status == 200
        assert ("the caller is gone" in payload["seen"]) is (server is ours)

    assert took[0] < 1.5
    assert took[1] >= 2


def test_a_stream_whose_reader_leaves_frees_its_slot(ours: Server) -> None:
    started = time.monotonic()
    ours.leave("/stream", {"chunks": 1000, "pause": 0.02}, after=0, answered=True)

    assert ours.post("/", 1)[0] == 200
    assert time.monotonic() - started < 3


def test_a_connection_is_kept_where_potassium_closes_it(ours: Server, theirs: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=10)
    with contextlib.closing(connection):
        connection.connect()
        socket_at_first = connection.sock
        for number in range(3):
            connection.request("POST", "/", json.dumps(number), JSON)
            assert json.loads(connection.getresponse().read())["got"] == number
            assert connection.sock is socket_at_first

    assert theirs.request("POST", "/", "{}", JSON)[1]["connection"] == "close"


def test_what_is_no_http_is_refused(ours: Server, theirs: Server) -> None:
    assert ours.raw(b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert b"Error code: 400" in theirs.raw(b"\x16\x03\x01 hello\r\n\r\n")  # a page without a status line
    assert ours.post("/", 1)[0] == 200


def test_files_stay_open_behind_each_request_at_potassiums_server_alone(ours: Server, theirs: Server) -> None:
    left = dict[str, int]()
    for name, server in (("ours", ours), ("theirs", theirs)):
        before = psutil.Process(server.process.pid).num_fds()
        for number in range(10):
            server.post("/", {"number": number})
        left[name] = psutil.Process(server.process.pid).num_fds() - before

    assert left["ours"] <= 1  # the last connection may still be closing
    assert left["theirs"] >= 4 * 9
