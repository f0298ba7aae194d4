"""PaperBanana killed in the middle of tasks and deliveries, and started again on its state file.

What was accepted is carried out, and what was noted as delivered is not delivered again.
"""

from __future__ import annotations

import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

ROOT = Path(__file__).resolve().parents[2]
KEY = {"authorization": "Bearer pb_" + "0" * 32}
SERVER = """
import sys, uvicorn
from pathlib import Path
from bananastand_mocks.server import Server
server = Server(["paperbanana"], seed=int(sys.argv[3]), state=Path(sys.argv[2]))
server.worlds.default.settings |= {"paperbanana.seconds": [0.05, 0.05], "paperbanana.webhook_waits": [0.03, 0.06, 0.1]}
uvicorn.run(server, port=int(sys.argv[1]), log_level="critical", access_log=False)
"""


class Receiver:
    """Counts what comes, by task; takes some time over it, and answers 500 to one call in three."""

    def __init__(self) -> None:
        self.got: Counter[str] = Counter()
        outer, dice = self, random.Random(1)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got[json.loads(body)["task_id"]] += 1
                time.sleep(dice.uniform(0, 0.03))
                with suppress(OSError):  # it may have been killed meanwhile
                    self.send_response(500 if dice.random() < 1 / 3 else 200)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def start(state: Path, seed: int) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", SERVER, str(port), str(state), str(seed)]
    process = subprocess.Popen(command, env={"PYTHONPATH": f"{ROOT}:{ROOT / 'mocks'}", "PATH": "/usr/bin:/bin"})
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, f"http://127.0.0.1:{port}/paperbanana"
        time.sleep(0.02)
    raise TimeoutError("the mock did not listen")


def rows(state: Path) -> dict[str, Any]:
    """The tasks as they are on the disk."""
    with sqlite3.connect(state) as connection:
        found = connection.execute("SELECT state FROM worlds WHERE name = 'default'").fetchone()
    connection.close()
    return json.loads(found[0])["tables"].get("paperbanana.tasks", {}) if found else {}


def submit(client: httpx2.Client, hook: str, number: int) -> str | None:
    """A task that was accepted; None where the answer never came."""
    body = {"description": f"Draw an encoder with {number} blocks.", "webhook_url": hook}
    try:
        answer = client.post("/api/optimize-prompt", json=body)
    except httpx2.HTTPError:
        return None
    assert answer.status_code == 202
    return answer.json()["task_id"]


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_nothing_accepted_is_lost_and_nothing_noted_is_delivered_again(kills: int, tmp_path: Path, receiver: Receiver):
    state, dice = tmp_path / "state.db", random.Random(kills)
    accepted: list[str] = []
    noted: list[tuple[str, int]] = []  # delivered, as the disk has it after a kill, and how often it had come by then
    in_the_middle = between = 0  # kills that struck while a delivery that had come was not noted; before a retry
    for turn in range(kills):
        process, url = start(state, turn)
        end = threading.Timer(dice.uniform(0.02, 0.6), process.send_signal, [signal.SIGKILL])
        with httpx2.Client(base_url=url, headers=KEY, timeout=10) as client:
            while (task := submit(client, receiver.url, len(accepted))) is not None:
                accepted.append(task)
                if end.ident is None:
                    end.start()
        process.wait(10)
        assert set(accepted) <= rows(state).keys()
        left = {name: row["webhook"] for name, row in rows(state).items()}
        delivered = [name for name, hook in left.items() if hook["status"] == "delivered"]
        in_the_middle += any(receiver.got[name] > len(hook["tries"]) for name, hook in left.items())
        between += any(hook["status"] == "retrying" for hook in left.values())
        noted += [(name, receiver.got[name]) for name in delivered]

    process, url = start(state, kills)
    until = time.monotonic() + 60
    try:
        while any(row["webhook"]["status"] in (None, "retrying") for row in rows(state).values()):
            assert time.monotonic() < until
            time.sleep(0.1)
        with httpx2.Client(base_url=url, headers=KEY) as client:
            for task in accepted:
                assert client.get(f"/api/tasks/{task}").json()["status"] == "completed"
    finally:
        process.kill()
        process.wait(10)

    assert len(accepted) > kills
    if kills >= 50:
        assert min(in_the_middle, between) > kills / 3
    assert noted != []
    assert [name for name, came in noted if receiver.got[name] != came] == []
    assert [task for task in accepted if receiver.got[task] == 0] == []
    assert all(len(row["webhook"]["tries"]) <= 4 for row in rows(state).values())
