"""What the host does beyond Potassium's own server; test_parity.py has what both do."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servers import HERE, JSON, Server, hosted


def test_handlers_run_on_the_thread_of_init(ours: Server) -> None:
    assert ours.post("/seen", {})[1]["same_thread"] is True


def test_handlers_run_one_at_a_time_by_default(ours: Server) -> None:
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


def test_a_request_past_its_timeout_gets_504_and_its_handler_is_cancelled() -> None:
    with hosted("--timeout", "0.3") as server:
        status, answer = server.post("/sleep", {"seconds": 20})
        assert (status, answer["error"]["code"]) == (504, "timeout")
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
        ("json:loads", None, "json:loads is a function, not a potassium.Potassium"),
        ("json:app", None, "json has no app"),
    ],
)
def test_a_target_without_an_app_ends_with_a_reason(tmp_path: Path, target: str, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / target).write_text(text)
    with hosted(ready=False, target=str(tmp_path / target) if target.endswith(".py") else target) as server:
        assert server.ended() in (1, 2)
        assert reason in server.log


def test_an_object_of_a_module_is_hosted_too() -> None:
    with hosted(target="hosted:web", PYTHONPATH=f"{HERE.parents[1]}:{HERE}") as server:
        assert server.post("/", 5)[1]["got"] == 5


def test_a_taken_port_fails_with_a_clear_error() -> None:
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


def test_a_stop_ends_after_its_drain_time() -> None:
    with hosted("--drain", "0.3") as server, ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.post, "/sleep", {"seconds": 30})
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        status, answer = running.result(10)
        assert (status, answer["error"]["message"]) == (503, "the request was called off: the server is stopping")
        assert server.ended() == 0


def test_a_finished_call_leaves_nothing_for_the_garbage_collector() -> None:
    """What only the collector could free would lie about for thousands of requests, with a picture in it."""
    with hosted("--concurrency", "2", "--timeout", "0.4") as server:
        server.post("/garbage", {})
        for _ in range(3):
            assert server.post("/", {"a": 1})[0] == 200
            assert server.post("/fails", {})[0] == 500
            assert server.request("POST", "/", "{", JSON)[0] == 400
            assert server.request("POST", "/stream", '{"chunks": 3, "fails": true, "pause": 0.02}', JSON)[0] == 200
            assert server.post("/sleep", {"seconds": 5})[0] == 504
            assert server.post("/background", {"name": "x"})[0] == 200
            server.leave("/sleep", {"seconds": 0.3}, 0.1)
            server.leave("/stream", {"chunks": 9, "pause": 0.05}, 0.1, answered=True)
        server.wait_until(lambda: json.loads(server.request("GET", "/readyz")[2])["in_progress"] == 0)

        assert server.post("/garbage", {}) == (200, [])


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
    expected = {"ready": True, "concurrency": 1, "in_progress": 0, "background": 0}
    assert json.loads(ours.request("GET", "/readyz")[2]) == expected
    assert ours.request("HEAD", "/healthz")[::2] == (200, b"")


def test_the_log_names_no_query_and_no_header(ours: Server) -> None:
    ours.request("POST", "/?token=hidden-in-query", "{}", {**JSON, "X-Some": "hidden-in-header"})
    ours.wait_until(lambda: "POST / 200" in ours.log)

    assert "hidden" not in ours.log
