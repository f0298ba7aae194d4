"""Compares Potassium's versions: each app on the server of its own version and in the platform's worker."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from bananastand.platform.building.environments.installer import find_uv
from bananastand.platform.replicas.client import ReplicaRequest
from bananastand.platform.replicas.worker_client import WorkerClient

from .expectations import HttpAnswer
from .potassium_apps import DIFFERENCES, PotassiumVersion, Probe, probes

__all__ = [
    "HttpAnswer",
    "FeatureRow",
    "WebhookReceiver",
    "compare",
    "make_environment",
    "upstream_answers",
    "worker_answers",
]

HERE = Path(__file__).resolve().parent
WORKER = HERE.parents[1] / "bananastand" / "worker" / "main.py"
DAYS_AFTER = 3  # an app resolves its open requirements some days after the version it uses was published


@dataclass(frozen=True)
class FeatureRow:
    """One feature of one version; the verdict is "same", "differs" (as the table says) or "wrong"."""

    version: str
    feature: str
    verdict: str
    note: str = ""


class WebhookReceiver:
    """Collects the JSON that is posted to it while it is entered."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.received: list[Any] = []
        self._host = host
        received, arrived = self.received, threading.Event()
        self._arrived = arrived

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                arrived.set()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = HTTPServer((host, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """The address to post to."""
        return f"http://{self._host}:{self._server.server_port}/"

    def wait(self) -> None:
        """Wait until something has arrived, for 20 seconds at most."""
        self._arrived.wait(20)

    def __enter__(self) -> WebhookReceiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def require_uv() -> str:
    """Return uv's path. Raises RuntimeError where it is not installed."""
    if (uv := find_uv()) is None:
        raise RuntimeError("uv makes these environments, and is not installed: pip install uv")
    return uv


def make_environment(version: PotassiumVersion, folder: Path) -> Path:
    """Return the Python of an environment with this version and requirements of its time, made once per folder."""
    python = folder / version.name / "bin" / "python"
    if python.exists():
        return python
    uv = require_uv()
    day = datetime.date.fromisoformat(version.published) + datetime.timedelta(days=DAYS_AFTER)
    fresh = folder / f"{version.name}.new"
    commands = [[uv, "venv", "-q", "--clear", "--python", _interpreter(uv, version.python), str(fresh)]]
    install = [uv, "pip", "install", "-q", "--python", str(fresh), "--exclude-newer", day.isoformat()]
    commands.append([*install, f"potassium=={version.name}"])
    for command in commands:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    fresh.rename(folder / version.name)
    return python


def _interpreter(uv: str, preferred: str) -> str:
    """Return the preferred version, or one near it, from uv, pyenv or this process."""
    order = [preferred, *(version for version in ("3.10", "3.9", "3.11", "3.8") if version != preferred)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for name in order:
        for found in sorted(pyenv.glob(f"{name}.*/bin/python{name}")):
            return str(found)
        search = subprocess.run([uv, "python", "find", "--no-python-downloads", name], capture_output=True, text=True)
        if search.returncode == 0:
            return search.stdout.strip()
    return sys.executable


def upstream_answers(
    python: Path, app: Path, requests: list[Probe], webhook: str, wait: Callable[[], None] | None = None
) -> list[HttpAnswer]:
    """Return the responses of the version's own server; `wait` is called before it stops."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = app.with_suffix(".upstream.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(python), "-u", str(HERE / "potassium_server.py"), str(port), str(app)],
            cwd=app.parent, env=_environment(webhook), stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        _until_it_listens(port, process, log)
        answers = [_ask(port, probe) for probe in requests]
        if wait is not None:
            wait()
        return answers
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def _environment(webhook: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "WEBHOOK": webhook, "NO_PROXY": "*"}


def _until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + 60
    while time.monotonic() < limit and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"the app did not start on its own server: {log.read_text()[-2000:]}")


def _ask(port: int, probe: Probe) -> HttpAnswer:
    limit = time.monotonic() + 20
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection):
            connection.request(probe.method, probe.path, probe.body or None, probe.headers)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            answer = HttpAnswer(response.status, headers, response.read())
        if probe.until is None and answer.status != 423:
            return answer
        if probe.until is not None and probe.until.encode() in answer.body:
            return answer
        if time.monotonic() > limit:
            return answer
        time.sleep(0.05)


def worker_answers(
    python: Path, app: Path, requests: list[Probe], webhook: str, wait: Callable[[], None] | None = None
) -> list[HttpAnswer]:
    """Return the responses of the same app in the worker, in the same Python; `wait` is called before it stops."""

    async def scenario() -> list[HttpAnswer]:
        async with _worker(python, app, webhook) as client:
            answers = [await _ask_worker(client, probe) for probe in requests]
            if wait is not None:
                await asyncio.to_thread(wait)
            return answers

    return asyncio.run(scenario())


@contextlib.asynccontextmanager
async def _worker(python: Path, app: Path, webhook: str) -> AsyncIterator[WorkerClient]:
    ours, theirs = socket.socketpair()
    log = app.with_suffix(".worker.log")
    with log.open("wb") as output, theirs:
        process = subprocess.Popen(
            [str(python), "-u", str(WORKER), "--control", str(theirs.fileno()), "--", app.name],
            cwd=app.parent, env=_environment(webhook), stdout=output, stderr=output, pass_fds=(theirs.fileno(),),
        )  # fmt: skip
    client = WorkerClient()
    try:
        await client.attach(ours)
        async with asyncio.timeout(60):
            while client.phase not in ("ready", "failed") and process.poll() is None:
                client.changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(client.changed.wait(), 0.2)
        if client.phase != "ready":
            raise RuntimeError(f"the app did not start in the worker: {client.failure}\n{log.read_text()[-2000:]}")
        yield client
    finally:
        await client.close()
        process.kill()
        process.wait()


async def _ask_worker(client: WorkerClient, probe: Probe) -> HttpAnswer:
    headers = tuple((name.lower(), value) for name, value in probe.headers.items())
    limit = time.monotonic() + 20
    while True:
        answer = await client.send(ReplicaRequest(probe.method, probe.path, headers, probe.body), 30)
        found = HttpAnswer(answer.status, dict(answer.headers), answer.body)
        if probe.until is None or probe.until.encode() in answer.body or time.monotonic() > limit:
            return found
        await asyncio.sleep(0.05)


def compare(version: PotassiumVersion, python: Path, folder: Path, source: str) -> Iterator[FeatureRow]:
    """Send the requests to both sides, and yield for each feature whether the responses are the same."""
    requests = probes(version)
    app = folder / "app.py"
    app.write_text(source)
    posts = version.app != "cache"
    with WebhookReceiver() as theirs:
        upstream = upstream_answers(python, app, requests, theirs.url, theirs.wait if posts else None)
    with WebhookReceiver() as ours:
        worker = worker_answers(python, app, requests, ours.url, ours.wait if posts else None)
    for probe, expected, found in zip(requests, upstream, worker, strict=True):
        yield _row(version, probe, expected, found)
    if posts:
        same = theirs.received == ours.received and theirs.received != []
        note = "" if same else f"upstream posted {theirs.received}, the worker {ours.received}"
        yield FeatureRow(version.name, "webhook", "same" if same else "wrong", note)


def _row(version: PotassiumVersion, probe: Probe, expected: HttpAnswer, found: HttpAnswer) -> FeatureRow:
    def comparable(answer: HttpAnswer) -> tuple[Any, ...]:
        kind = answer.media_type
        body: Any = answer.body
        if kind.startswith("application/json"):
            with contextlib.suppress(ValueError):
                body = json.loads(answer.body)
        return answer.status, kind, body, [answer.headers.get(name) for name in probe.compare]

    if comparable(expected) == comparable(found):
        return FeatureRow(version.name, probe.feature, "same")
    text = f"upstream {_brief(expected)}; worker {_brief(found)}"
    status, part, why = DIFFERENCES.get(probe.feature, (0, "", ""))
    if found.status == status and part.encode() in found.body:
        return FeatureRow(version.name, probe.feature, "differs", f"{why} ({text})")
    return FeatureRow(version.name, probe.feature, "wrong", text)


def _brief(answer: HttpAnswer) -> str:
    return f"{answer.status} {answer.media_type} {answer.body[:100]!r}"
