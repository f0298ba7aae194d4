"""Runs a platform in a process with a scratch data directory, and calls its HTTP API."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .corpus import CorpusCall, materialize
from .expectations import HttpAnswer

__all__ = ["ApiError", "PlatformProcess"]


class ApiError(Exception):
    """The platform refused; the text is its message."""


class PlatformProcess:
    """`bananastand up` in a process of its own while it is entered.

    Args:
        folder: Scratch; the data directory is in it.
        sources: Where the repositories to deploy lie.
        environment: More variables for the platform, HF_ENDPOINT among them.
    """

    def __init__(self, folder: Path, sources: Path, environment: Mapping[str, str]) -> None:
        self.data, self._lines = folder / "data", list[str]()
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        command = [sys.executable, "-c", "from bananastand.cli import main; main()", "up", "--port", str(self.port)]
        command += ["--data", str(self.data), "--root", str(sources), "--start-timeout", "120"]
        self._command, self.environment = command, {**os.environ, **environment, "NO_PROXY": "*"}
        self._process: subprocess.Popen[str] | None = None
        self.key = ""

    def __enter__(self) -> PlatformProcess:
        self._process = subprocess.Popen(
            self._command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        limit = time.monotonic() + 60
        while not (self.data / "client.toml").exists() or not self._answers():
            if self._process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError("the platform did not start: " + "".join(self._lines)[-2000:])
            time.sleep(0.1)
        self.key = tomllib.loads((self.data / "client.toml").read_text())["key"]
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    @property
    def banana(self) -> str:
        """The address that replaces https://api.banana.dev/."""
        return f"http://127.0.0.1:{self.port}/banana/"

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the platform's own API. Raises ApiError."""
        answer = self._request(method, f"/stand/v1/{path}", json.dumps(body).encode() if body is not None else b"")
        if answer.status >= 400:
            said = answer.json()
            message = said["error"]["message"] if isinstance(said, dict) and "error" in said else answer.body.decode()
            raise ApiError(f"{answer.status}: {message}")
        return answer.json()

    def deploy(
        self, name: str, source: Path, builder: str, *, limit: float, environment: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Deploy and wait; return the finished build with `seconds`, the time in each of its states.

        Args:
            name: Of the project.
            source: A folder.
            builder: "process" or "container".
            limit: Seconds, after which the build is cancelled.
            environment: Variables of the app.
        """
        started = self.api(
            "POST",
            f"projects/{name}/deploy",
            {"source": str(source), "builder": builder, "environment": dict(environment or {})},
        )
        began, state, times = time.monotonic(), "", dict[str, float]()
        while True:
            build = self.api("GET", f"builds/{started['build_id']}")
            now = time.monotonic() - began
            if build["state"] != state:
                state = build["state"]
                times[state] = round(now, 2)
            if state in ("live", "failed", "cancelled"):
                return {**build, "seconds": times, "log": self.log(started["build_id"])}
            if now > limit:
                with contextlib.suppress(ApiError):
                    self.api("POST", f"builds/{started['build_id']}/cancel", {})
                text = f"not live after {limit:.0f} s, still {state}"
                return {
                    **build,
                    "state": "failed",
                    "error": text,
                    "seconds": times,
                    "log": self.log(started["build_id"]),
                }
            time.sleep(0.05)

    def log(self, build: str) -> list[str]:
        """Return the lines of a build's log."""
        answer = self._request("GET", f"/stand/v1/builds/{build}/log", b"")
        lines = list[str]()
        for line in answer.body.decode(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                lines.append(str(entry.get("line", entry.get("text", entry))))
        return lines

    def call(self, project: dict[str, Any], call: CorpusCall, timeout: float) -> HttpAnswer:
        """Make a call through the project's run URL."""
        path = urlsplit(project["url"]).path.rstrip("/") + call.route
        body = json.dumps(materialize(call.inputs)).encode() if call.method != "GET" else b""
        return self._request(call.method, path, body, call.send, timeout)

    def _request(
        self, method: str, path: str, body: bytes, more: Mapping[str, str] | None = None, timeout: float = 60
    ) -> HttpAnswer:
        headers = {"X-Banana-API-Key": self.key, "Content-Type": "application/json", **(more or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            read, pieces = list[bytes](), list[float]()
            while piece := response.read1(65536):
                read.append(piece)
                now = time.monotonic()
                if not pieces or now - pieces[-1] > 0.01:
                    pieces.append(now)
            return HttpAnswer(response.status, named, b"".join(read), pieces)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self._request("GET", "/stand/v1/status", b"", timeout=5).status in (200, 401)
        return False

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.append(re.sub(r"[0-9a-f]{32}", "KEY", line))
