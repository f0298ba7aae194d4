"""The host beside Potassium's own server, on one table of requests; and what the host alone can do."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
APP = HERE / "hosted.py"
JSON = {"Content-Type": "application/json"}


class Server:
    """A server process on a port of its own."""

    def __init__(self, command: list[str], port: int, **environ: str) -> None:
        self.port = port
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(HERE.parent), "PORT": str(port), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def ended(self, seconds: float = 20) -> int:
        status = self.process.wait(seconds)
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def request(
        self, method: str, path: str, body: bytes | str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            named = {key.lower(): value for key, value in response.getheaders()}
            return response.status, named, response.read()

    def post(self, path: str, value: Any) -> tuple[int, Any]:
        status, _, body = self.request("POST", path, json.dumps(value), JSON)
        return status, json.loads(body)

    def raw(self, text: bytes, seconds: float = 5) -> bytes:
        """Send bytes as they are and read until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(text)
            got = b""
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                while chunk := connection.recv(65536):
                    got += chunk
            return got

    def wait_until(self, ready: Callable[[], bool], seconds: float = 30) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if ready():
                    return
            assert self.process.poll() is None, self.log
            time.sleep(0.02)
        raise AssertionError(self.log)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def hosted(*options: str, target: str = str(APP), ready: bool = True, **environ: str) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-c", "from bananastand.cli import main; main()", "serve", target, "--port", str(port)]
    server = Server([*command, *options], port, **environ)
    try:
        if ready:
            server.wait_until(lambda: server.request("GET", "/readyz")[0] == 200, 180)
        yield server
    finally:
        server.process.kill()
        server.ended()


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    with hosted() as server:
        yield server


@pytest.fixture(scope="module")
def theirs() -> Iterator[Server]:
    port = free_port()
    server = Server([sys.executable, str(APP)], port)
    try:
        server.wait_until(lambda: server.request("GET", "/_k/status")[0] == 200)
        yield server
    finally:
        server.process.kill()
        server.ended()


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
    wanted = SAME[name]

    (our_status, our_headers, our_body), (status, headers, body) = (s.request(*wanted) for s in (ours, theirs))

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
    told = [json.loads(server.request("GET", "/__status__")[2]) for server in (ours, theirs)]

    assert list(told[0]) == list(told[1]) == ["gpu_available", "idle_time", "inference_time", "sequence_number"]
    assert [type(value) for value in told[0].values()] == [type(value) for value in told[1].values()]


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


# The listed differences (docs/serving.md), each with what Potassium does.


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

    told = json.loads(answer)["error"]
    assert (status, told["code"], told["field"]) == (400, code, None)
    assert told["message"].startswith(message)
    assert theirs.request("POST", "/", body, headers)[::2] == (400, b"")


def test_a_raising_handler_gives_an_id_where_potassium_gives_its_traceback(ours: Server, theirs: Server) -> None:
    status, told = ours.post("/fails", {})
    their_status, _, their_body = theirs.request("POST", "/fails", "{}", JSON)

    assert (status, told["error"]["code"]) == (500, "internal")
    assert "secret" not in json.dumps(told)
    error_id = told["error"]["message"].rpartition(" ")[2]
    ours.wait_until(lambda: "a secret of the server" in ours.log)
    assert f"error {error_id}\nTraceback" in ours.log
    assert their_status == 500
    assert b"a secret of the server" in their_body


def test_a_handler_without_a_response_is_an_error(ours: Server) -> None:
    assert ours.post("/no-response", {})[0] == 500


def test_a_header_that_would_smuggle_another_is_an_error(ours: Server) -> None:
    status, headers, _ = ours.request("POST", "/odd-header", "{}", JSON)

    assert status == 500
    assert "set-cookie" not in headers


def test_a_stream_that_fails_ends_with_an_error_event(ours: Server) -> None:
    status, _, body = ours.request("POST", "/stream", '{"fails": true}', JSON)

    events = body.decode().split("\n\n")
    assert status == 200
    assert events[:3] == ["data: 0", "data: 1", "data: 2"]
    assert events[3].startswith('event: error\ndata: {"error": {"code": "internal"')
    assert "middle" not in events[3]
    assert ours.post("/", 1)[0] == 200  # the slot is free


def test_a_failing_stream_of_another_type_breaks_off(ours: Server) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        ours.request("POST", "/stream", '{"fails": true, "type": "text/plain"}', JSON)
    assert ours.post("/", 1)[0] == 200


def test_handlers_run_on_the_thread_of_init(ours: Server) -> None:
    assert ours.post("/seen", {})[1]["same_thread"] is True


def test_one_at_a_time_unless_asked(ours: Server) -> None:
    def three(server: Server) -> float:
        started = time.monotonic()
        with ThreadPoolExecutor(3) as pool:
            assert [status for status, _ in pool.map(lambda _: server.post("/sleep", {"seconds": 0.5}), range(3))] == [
                200
            ] * 3
        return time.monotonic() - started

    assert three(ours) >= 1.5
    with hosted("--concurrency", "3") as server:
        assert 0.5 <= three(server) < 1.4


def test_a_large_body_is_refused_by_its_header_and_by_its_bytes() -> None:
    with hosted("--max-body", "0.001") as server:
        by_header = server.request("POST", "/", b"1" * 2000, JSON)
        chunks = b"".join(b"190\r\n" + b"1" * 400 + b"\r\n" for _ in range(5)) + b"0\r\n\r\n"
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        by_bytes = server.raw(head + chunks)

        assert by_header[0] == 413
        assert json.loads(by_header[2])["error"] == {
            "code": "body_too_large",
            "message": "at most 1048 bytes are allowed",
            "field": None,
        }
        assert by_bytes.startswith(b"HTTP/1.1 413 ")
        assert server.post("/", 1)[0] == 200


def test_http_1_0_and_keep_alive(ours: Server) -> None:
    head = b"Host: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"

    assert ours.raw(b"POST / HTTP/1.0\r\n" + head + b"\r\n{}").startswith(b"HTTP/1.1 200 OK\r\n")
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=10)
    with contextlib.closing(connection):
        connection.connect()
        socket_at_first = connection.sock
        for number in range(3):
            connection.request("POST", "/", json.dumps(number), JSON)
            assert json.loads(connection.getresponse().read())["got"] == number
            assert connection.sock is socket_at_first


def test_what_is_no_http_is_refused(ours: Server) -> None:
    assert ours.raw(b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert ours.post("/", 1)[0] == 200


def test_a_slow_client_holds_nobody_up(ours: Server) -> None:
    with socket.create_connection(("127.0.0.1", ours.port)) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        started = time.monotonic()
        assert ours.post("/", 1)[0] == 200
        assert time.monotonic() - started < 2


def test_a_caller_that_leaves_calls_its_handler_off(ours: Server) -> None:
    body = b'{"seconds": 20}'
    with socket.create_connection(("127.0.0.1", ours.port)) as caller:
        caller.sendall(
            b"POST /sleep HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        time.sleep(0.3)

    started = time.monotonic()
    status, told = ours.post("/seen", {})
    assert status == 200
    assert time.monotonic() - started < 3
    assert "the caller is gone" in told["seen"]


def test_a_stream_whose_reader_leaves_frees_its_slot(ours: Server) -> None:
    body = b'{"chunks": 1000, "pause": 0.02}'
    with socket.create_connection(("127.0.0.1", ours.port)) as caller:
        caller.sendall(
            b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        assert caller.recv(100)

    started = time.monotonic()
    assert ours.post("/", 1)[0] == 200
    assert time.monotonic() - started < 3


def test_a_request_out_of_time_is_504_and_its_handler_is_told() -> None:
    with hosted("--timeout", "0.3") as server:
        status, told = server.post("/sleep", {"seconds": 20})
        assert (status, told["error"]["code"]) == (504, "timeout")
        assert server.post("/seen", {})[1]["seen"] == ["out of time"]


def test_a_full_queue_says_busy() -> None:
    with hosted("--queue", "1") as server, ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: server.request("POST", "/sleep", '{"seconds": 0.5}', JSON), range(3)))

    assert sorted(status for status, _, _ in answers) == [200, 200, 503]
    (busy,) = (answer for answer in answers if answer[0] == 503)
    assert int(busy[1]["retry-after"]) >= 1
    assert json.loads(busy[2])["error"]["code"] == "busy"


def test_it_listens_and_says_what_it_loads_before_the_app_is_there() -> None:
    with hosted(ready=False, INIT_SECONDS="2") as server:
        server.wait_until(lambda: server.request("GET", "/healthz")[0] == 200)
        server.wait_until(lambda: b"running init()" in server.request("GET", "/readyz")[2])
        status, headers, body = server.request("POST", "/", "{}", JSON)
        assert (status, headers["retry-after"], json.loads(body)["error"]["code"]) == (503, "1", "loading")
        server.wait_until(lambda: server.request("GET", "/readyz")[0] == 200)
        assert server.post("/", 1)[0] == 200


def test_a_failing_init_ends_the_process_with_its_reason() -> None:
    with hosted(ready=False, INIT_FAILS="1") as server:
        assert server.ended() == 1
        assert "cannot start: init() failed: no model here" in server.log


@pytest.mark.parametrize(
    ("target", "text", "reason"),
    [
        ("gone.py", None, "there is no file"),
        ("empty.py", "print('hello')\n", "ended without calling serve()"),
        ("broken.py", "import nothing_of_that_name\n", "nothing_of_that_name"),
        ("no_such_module:app", None, "there is no module no_such_module"),
        ("json:loads", None, "json:loads is a function, no potassium.Potassium"),
        ("json:app", None, "json has no app"),
    ],
)
def test_what_is_no_app_ends_with_a_reason(tmp_path: Path, target: str, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / target).write_text(text)
    with hosted(ready=False, target=str(tmp_path / target) if target.endswith(".py") else target) as server:
        assert server.ended() in (1, 2)
        assert reason in server.log


def test_an_object_of_a_module_is_hosted_too() -> None:
    with hosted(target="hosted:web", PYTHONPATH=f"{HERE.parent}:{HERE}") as server:
        assert server.post("/", 5)[1]["got"] == 5


def test_a_taken_port_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with hosted("--port", port, ready=False) as server:
            assert server.ended() == 1
            assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in server.log


def test_a_stop_finishes_what_runs_and_refuses_what_is_new() -> None:
    with hosted() as server, ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.post, "/sleep", {"seconds": 1.0})
        time.sleep(0.3)
        server.post("/background", {"name": "kept", "seconds": 0.2})
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.post("/", 1)[0] == 503
        assert running.result(10) == (200, {"slept": 1.0})
        assert server.ended() == 0


def test_a_stop_is_bounded() -> None:
    with hosted("--drain", "0.3") as server, ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.post, "/sleep", {"seconds": 30})
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        status, told = running.result(10)
        assert (status, told["error"]["message"]) == (503, "the request was called off: the server is stopping")
        assert server.ended(10) == 0


def test_a_failing_background_task_is_in_the_log() -> None:
    with hosted() as server:
        assert server.post("/background", {"fails": True}) == (200, {"started": True})
        server.wait_until(lambda: "the background task /background failed\nTraceback" in server.log)
        assert server.post("/", 1)[0] == 200


def test_metrics_and_health(ours: Server) -> None:
    ours.post("/", 1)
    text = ours.request("GET", "/metrics")[2].decode()

    assert re.search(r'^bananastand_requests_total\{route="/",status="200"\} [1-9]', text, re.M)
    assert 'bananastand_request_run_seconds_count{route="/"}' in text
    assert [ours.request("GET", path)[0] for path in ("/healthz", "/readyz", "/ping")] == [200, 200, 200]
    assert ours.request("HEAD", "/healthz")[::2] == (200, b"")


def test_the_log_names_no_query_and_no_header(ours: Server) -> None:
    ours.request("POST", "/?token=hidden-in-query", "{}", {**JSON, "X-Some": "hidden-in-header"})
    ours.wait_until(lambda: "POST / 200" in ours.log)

    assert "hidden" not in ours.log
