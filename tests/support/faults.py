"""What tests that do harm share: callers that go on whatever happens, and the check of what became of their calls."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2

__all__ = ["Load", "command_of", "query", "send", "until", "verify", "wait_for_the_end"]

CALLERS = 4
THAW = 3.0  # seconds in which a thawed machine learns that it counts as lost
PAUSE = 0.02  # seconds between two calls of a caller


class Load:
    """Callers that go on whatever happens, and what was acknowledged to them: run ids and what was sent.

    Args:
        port: The platform's.
        key: An API key.
        seed: Of what they send.
        seconds: How long handlers take.
        pause: Seconds between two calls of a caller.
    """

    def __init__(
        self,
        port: int,
        key: str,
        seed: int,
        seconds: tuple[float, ...] = (0, 0.01, 0.05),
        pause: float = PAUSE,
    ) -> None:
        self.acknowledged: dict[str, int] = {}
        self._port, self._key, self._seed, self._seconds, self._pause = port, key, seed, seconds, pause
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self, caller: int) -> None:
        chance, number = random.Random(self._seed * 100 + caller), 0
        with httpx2.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=20, trust_env=False) as http:
            while not self._stop.is_set():
                number += 1
                sent = caller * 1_000_000 + number
                inputs = {"n": sent, "seconds": chance.choice(self._seconds)}
                body = {"apiKey": self._key, "modelKey": "app", "modelInputs": inputs, "startOnly": True}
                with suppress(httpx2.HTTPError, ValueError):
                    answer = http.post("/banana/start/v4", json=body).json()
                    if answer["callID"]:
                        self.acknowledged[answer["callID"]] = sent
                time.sleep(self._pause)


def query(database: Path | str, text: str) -> list[Any]:
    """The rows of a data directory with SQLite, or of a PostgreSQL database by its URL."""
    if isinstance(database, str):
        import psycopg

        with psycopg.connect(database) as connection:
            return connection.execute(text.encode()).fetchall()
    with closing(sqlite3.connect(f"file:{database / 'stand.sqlite'}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(text).fetchall()


def wait_for_the_end(database: Path | str, acknowledged: dict[str, int], seconds: float = 60) -> dict[str, str]:
    """The state of each acknowledged call, once none is open; a call without a row is a failure."""
    limit = time.monotonic() + seconds
    while True:
        states = dict(query(database, "SELECT id, state FROM calls"))
        missing = [call for call in acknowledged if call not in states]
        assert not missing, f"{len(missing)} acknowledged calls have no row"
        open_ones = [call for call in acknowledged if states[call] in ("queued", "running")]
        if not open_ones:
            return {call: states[call] for call in acknowledged}
        assert time.monotonic() < limit, f"{len(open_ones)} calls never ended"
        time.sleep(0.05)


def verify(
    database: Path | str, executed: Path, acknowledged: dict[str, int], attempts: int, thawed: Sequence[float] = ()
) -> int:
    """One result each, the right one, and no handler began after it was recorded.

    Except on a machine that was frozen: what its programs had received already, they begin once it is thawed.

    Args:
        database: As for `query`.
        executed: The file in which handlers have written what they began.
        acknowledged: What was sent in each call, by its id.
        attempts: How often a call may be begun.
        thawed: When machines were thawed.

    Returns:
        How many handlers began after the end of their call, just after a machine was thawed.
    """
    late = 0
    began: dict[str, list[float]] = {}
    for line in executed.read_text().splitlines():
        run, moment = line.split()
        began.setdefault(run, []).append(float(moment))
    rows = query(database, "SELECT id, run_id, state, answer, error, finished, attempts FROM calls")
    assert len({row[0] for row in rows}) == len(rows)
    for call, run, state, answer, error, finished, made_attempts in rows:
        if state == "succeeded":
            if call in acknowledged:
                assert json.loads(answer)["got"]["n"] == acknowledged[call]
            assert began[run], "it was answered by nobody"
            for moment in (moment for moment in began[run] if moment > finished):
                is_thawed = any(0 <= moment - thaw < THAW for thaw in thawed)
                assert is_thawed, f"it was run again {moment - finished:.1f} s after its success was recorded"
                late += 1
        else:
            assert error, "a failure says why"
            assert f"given up after {attempts} attempts" in error
        assert made_attempts <= attempts
        assert len(began.get(run, ())) <= attempts + 1, "once beside others, and the others alone"
    return late


def command_of(pid: int) -> str:
    """The command line of a process; nothing if it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    return ""


def send(pids: list[int], number: int) -> None:
    """Send a signal to processes that may have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def until(holds: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for it."""
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, f"{what} did not come about in {seconds:.0f} s"
        time.sleep(0.1)
