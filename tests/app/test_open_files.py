"""Every server with 256 open files and more silent connections than that: health and calls go on."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from servers import JSON, free_port, hosted, mocks
from stands import Up

FRONT, PROXY = free_port(), free_port()
SILENT = 300


@contextlib.contextmanager
def silent(*ports: int) -> Iterator[None]:
    """As many connections to each port, of which one in three has sent half a request."""
    with contextlib.ExitStack() as stack:
        for port in ports:
            for number in range(SILENT):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
                if number % 3 == 0:
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-")
        yield


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("files")
    running = Up(folder / "data", fronts=[[FRONT, "app"]], proxy=PROXY, files=256)
    assert running.deploy()["state"] == "live"
    yield running
    assert running.stop() == 0, running.log


def test_the_platform_answers_beside_silent_connections_on_all_its_ports(up: Up) -> None:
    with silent(up.port, FRONT, PROXY):
        for _ in range(5):
            assert httpx2.get(f"http://127.0.0.1:{up.port}/healthz", trust_env=False).json() == {"alive": True}
            assert httpx2.post(f"http://127.0.0.1:{FRONT}/", json={}, trust_env=False, timeout=30).status_code == 200
            assert up.http.post("/stand/v1/projects/app/call/", json={}).status_code == 200
            assert up.http.get("/stand/v1/status").status_code == 200
        ca = httpx2.get("http://echo.run.banana.dev/", proxy=f"http://127.0.0.1:{PROXY}", trust_env=False)
        assert "StatusCode: 401" in ca.text
    until = time.monotonic() + 10
    while "silent ones were closed" not in up.log:
        assert time.monotonic() < until, up.log
        time.sleep(0.05)
    assert up.log.count("the platform has") == 1


def test_a_replica_starts_beside_silent_connections(up: Up) -> None:
    with silent(up.port, FRONT):
        assert up.deploy("second")["state"] == "live"
        assert up.http.post("/stand/v1/projects/second/call/", json={}).status_code == 200


def test_a_hosted_app_answers_beside_silent_connections() -> None:
    with hosted(files=256) as server, silent(server.port):
        for _ in range(5):
            assert server.request("GET", "/healthz")[0] == 200
            assert server.request("POST", "/", "{}", JSON)[0] == 200


def test_the_mocks_answer_beside_silent_connections() -> None:
    with mocks(files=256) as server, silent(server.port):
        for _ in range(5):
            assert server.request("GET", "/_stand/")[0] == 200
            assert server.request("GET", "/paperbanana/api/v1/health")[0] in (200, 404)


@pytest.mark.parametrize("kind", ["platform", "serve", "mocks"])
def test_the_limit_of_open_files_is_raised_as_far_as_the_system_allows(kind: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        if kind == "platform":
            running = Up(tmp_path / "data", files="-S 300; :")
            stack.callback(running.stop)
            pid = running.process.pid
        else:
            start = hosted if kind == "serve" else mocks
            pid = stack.enter_context(start(files="-S 300; :")).process.pid  # type: ignore[arg-type]
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
        soft, hard = next(line.split()[3:5] for line in lines if line.startswith("Max open files"))

    assert int(soft) == min(int(hard), 65_536)


@pytest.mark.parametrize(
    ("path", "host", "body"),
    [
        ("/stand/v1/status", "", b'{"error": {"code": "headers_too_large"'),
        ("/banana/run/app/", "", b"An error occured.\n    Type: UserError\n    StatusCode: 431\n"),
        ("/", "app.run.banana.dev", b"An error occured.\n    Type: UserError\n    StatusCode: 431\n"),
        ("/banana/projects", "", b'{"message":"the headers are longer'),
        ("/lowcodeapi/bananadev/v1/models", "", b'{"message":'),
    ],
)
def test_headers_that_are_too_long_are_refused_as_the_address_refuses(
    up: Up, path: str, host: str, body: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", up.port), timeout=20) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: {host or '127.0.0.1'}\r\nX-Long: {'a' * 2**16}\r\n\r\n"
        connection.sendall(head.encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert answer.partition(b"\r\n\r\n")[2].startswith(body)


def test_the_forward_proxy_refuses_long_and_many_headers(up: Up) -> None:
    for lines in (f"X-Long: {'a' * 2**17}\r\n", "".join(f"X-{n}: a\r\n" for n in range(300))):
        with socket.create_connection(("127.0.0.1", PROXY), timeout=20) as connection:
            connection.sendall(f"GET http://a.run.banana.dev/ HTTP/1.1\r\n{lines}\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 431 ")
