"""Server processes for tests: an app under our host, and under Potassium's own server."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
APP = HERE / "hosted.py"
JSON = {"Content-Type": "application/json"}


class Server:
    """A server process on a port of its own."""

    def __init__(self, command: list[str], port: int, **environ: str) -> None:
        self.port = port
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), "PORT": str(port), **environ},
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

    def leave(self, path: str, value: Any, after: float, answered: bool = False) -> None:
        """Ask, and close the connection after so many seconds, or once there is a first piece of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(value), JSON)
            if answered:
                assert connection.sock.recv(100)
            time.sleep(after)

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


def limited(command: list[str], files: int | str | None) -> list[str]:
    """The command with a limit of open files, where one is given."""
    return command if files is None else ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def hosted(
    *options: str, target: str = str(APP), ready: bool = True, files: int | str | None = None, **environ: str
) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-c", "from bananastand.cli import main; main()", "serve", target, "--port", str(port)]
    server = Server(limited([*command, *options], files), port, **environ)
    try:
        if ready:
            server.wait_until(lambda: server.request("GET", "/readyz")[0] == 200, 180)
        yield server
    finally:
        server.process.kill()
        server.ended()


@contextlib.contextmanager
def mocks(*options: str, files: int | str | None = None) -> Iterator[Server]:
    """`bananastand mocks` in a process of its own."""
    port = free_port()
    command = [sys.executable, "-c", "from bananastand.cli import main; main()", "mocks", "--port", str(port)]
    paths = os.pathsep.join((str(HERE.parents[1]), str(HERE.parents[1] / "mocks")))
    server = Server(limited([*command, *options], files), port, PYTHONPATH=paths)
    try:
        server.wait_until(lambda: server.request("GET", "/_stand/")[0] == 200)
        yield server
    finally:
        server.process.kill()
        server.ended()


@contextlib.contextmanager
def potassium() -> Iterator[Server]:
    """Potassium's own server with the same app."""
    port = free_port()
    server = Server([sys.executable, str(APP)], port)
    try:
        server.wait_until(lambda: server.request("GET", "/_k/status")[0] == 200)
        yield server
    finally:
        server.process.kill()
        server.ended()
