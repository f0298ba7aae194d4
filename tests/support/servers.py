"""Server processes for tests: an app under our host, and under Potassium's own server."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pty
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx2

HERE = Path(__file__).resolve().parent
APP = HERE / "hosted.py"
JSON = {"Content-Type": "application/json"}


class Process:
    """A process, and the lines that it prints; `terminal`: on a terminal of its own."""

    def __init__(self, command: list[str], *, terminal: bool = False, cwd: Path | None = None, **environ: str) -> None:
        ours, theirs = pty.openpty() if terminal else os.pipe()
        self.process = subprocess.Popen(
            command, env={**os.environ, **environ}, cwd=cwd, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    def _read(self, descriptor: int) -> None:
        # newline: as they are. A terminal ends with EIO.
        with open(descriptor, encoding="utf-8", errors="replace", newline="") as file, contextlib.suppress(OSError):
            for line in file:
                self.lines.append(line)

    @property
    def log(self) -> str:
        """All that it has printed."""
        return "".join(self.lines)

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        self.process.terminate()
        return self.ended()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.ended()

    def ended(self) -> int:
        """Wait for its end."""
        status = self.process.wait(60)
        self._reader.join(10)
        return status


class PlatformProcess(Process):
    """A platform in a process of its own, once it serves; `http` has its key."""

    def __init__(self, command: list[str], port: int, data: Path, **options: Any) -> None:
        super().__init__(command, **options)
        self.data, self.port = data, port
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False)
        limit = time.monotonic() + 60
        while not any("valid" in line or "api_token" in line for line in self.lines):
            if self.process.poll() is not None or time.monotonic() > limit:
                self.kill()
                raise AssertionError(self.log)
            time.sleep(0.02)
        self.key = tomllib.loads((data / "client.toml").read_text())["key"]
        self.http.headers["authorization"] = f"Bearer {self.key}"

    def ended(self) -> int:
        """Wait for its end."""
        self.http.close()
        return super().ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        status = self.stop()
        if kind is None:
            assert status == 0, f"ended with status {status}: {self.log}"


class Server(Process):
    """A server process on a port of its own."""

    def __init__(self, command: list[str], port: int, **environ: str) -> None:
        self.port = port
        super().__init__(command, **{"PYTHONPATH": str(HERE.parents[1]), "PORT": str(port), **environ})

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
        server.kill()


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
        server.kill()


@contextlib.contextmanager
def potassium() -> Iterator[Server]:
    """Potassium's own server with the same app."""
    port = free_port()
    server = Server([sys.executable, str(APP)], port)
    try:
        server.wait_until(lambda: server.request("GET", "/_k/status")[0] == 200)
        yield server
    finally:
        server.kill()
