"""Half an hour of every kind of request at our app under our host: nothing may pile up. `make slow`.

SOAK_SECONDS shortens it; SOAK_RESULT names a file for what was measured.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import torch

from benchmarks._machine import machine
from servers import JSON, Server, hosted

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("SOAK_SECONDS", "1800"))
CALLERS = 8
APP = Path(__file__).resolve().parents[2] / "app.py"


def good(server: Server, rng: random.Random) -> str:
    body = {"prompt": "two red apples", "num_inference_steps": rng.randint(1, 6), "seed": rng.randrange(99)}
    status, answer = server.post("/", body)
    assert status == 200, answer
    return "good"


def bad(server: Server, rng: random.Random) -> str:
    body = rng.choice(("{", "[]", '{"prompt": ""}', '{"prompt": "a", "width": 33}', '{"prompt": 3}', "null"))
    status, _, answer = server.request("POST", "/", body, JSON)
    assert status == 400
    assert json.loads(answer)["error"]["code"]
    return "bad"


def unknown(server: Server, rng: random.Random) -> str:
    assert server.request("POST", f"/{rng.randrange(9)}", "{}", JSON)[0] == 404
    return "unknown"


def stream(server: Server, rng: random.Random) -> str:
    status, _, body = server.request("POST", "/stream", '{"prompt": "a pear", "num_inference_steps": 5}', JSON)
    assert status == 200
    assert b"event: result" in body
    return "stream"


def leaves(server: Server, rng: random.Random) -> str:
    """Asks for a long picture and closes the connection at some point."""
    server.leave(rng.choice(("/", "/stream")), {"prompt": "a plum", "num_inference_steps": 50}, rng.uniform(0, 0.3))
    return "left"


def background(server: Server, rng: random.Random) -> str:
    assert server.post("/background", {"prompt": "a pear", "num_inference_steps": 2}) == (200, {"started": True})
    return "background"


KINDS = (good, good, good, bad, unknown, stream, leaves, background)


def test_nothing_piles_up() -> None:
    with hosted("--timeout", "60", target=str(APP)) as server:
        process = psutil.Process(server.process.pid)
        counted: Counter[str] = Counter()
        problems: list[BaseException] = []

        def caller(number: int, seconds: float) -> None:
            rng, until = random.Random(number), time.monotonic() + seconds
            while time.monotonic() < until and not problems:
                try:
                    counted[rng.choice(KINDS)(server, rng)] += 1
                except BaseException as problem:
                    problems.append(problem)

        def play(seconds: float) -> dict[str, int]:
            threads = [threading.Thread(target=caller, args=(number, seconds)) for number in range(CALLERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not problems, problems
            server.wait_until(lambda: b'"idle_time":0' not in server.request("GET", "/_k/status")[2], 60)
            time.sleep(1)
            return {
                "memory": process.memory_info().rss // 2**20,
                "threads": process.num_threads(),
                "files": process.num_fds(),
            }

        early = play(max(20.0, SECONDS / 10))
        thirds = [play(SECONDS / 3) for _ in range(3)]
        metrics = server.request("GET", "/metrics")[2].decode()

    if result := os.environ.get("SOAK_RESULT"):
        report = {
            "what": "every kind of request at our app under our host; memory in MB, threads and open files",
            "command": "make slow",
            "machine": machine("cpu", torch.get_num_threads()),
            "seconds": SECONDS,
            "early": early,
            "thirds": thirds,
            "counted": counted,
        }
        Path(result).write_text(json.dumps(report, indent=1) + "\n")
    late = thirds[-1]
    assert late["memory"] <= early["memory"] + 40, (early, thirds, counted)
    assert late["threads"] <= early["threads"] + 2
    assert late["files"] <= early["files"] + 2
    assert "bananastand_engine_requests 0.0" in metrics
    assert "bananastand_requests_running 0.0" in metrics
    assert "bananastand_requests_queued 0.0" in metrics
    assert set(counted) == {"good", "bad", "unknown", "stream", "left", "background"}
