"""Fronts of one platform, each a process of its own, over one PostgreSQL database."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from paths import PATHS
from servers import Process, free_port

__all__ = ["FrontProcess", "Fronts", "wait_for"]


class FrontProcess(Process):
    """`bananastand up --database`, with the builder of the platform's tests."""

    def __init__(self, data: Path, database: str, *, port: int | None = None, **options: Any) -> None:
        self.data, self.port = data, port or free_port()
        arguments = {"data": str(data), "port": self.port, "database": database, **options}
        code = "import stands, sys; sys.exit(stands.up(sys.argv[1]))"
        super().__init__([sys.executable, "-c", code, json.dumps(arguments)], PYTHONPATH=PATHS)
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False)

    def health(self) -> dict[str, Any]:
        """What it says of itself; nothing while it does not answer."""
        try:
            return self.http.get("/healthz", timeout=2).json()
        except httpx2.HTTPError:
            assert self.process.poll() is None, self.log
            return {}

    @property
    def role(self) -> str | None:
        return self.health().get("role")

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.process.pid, signal.SIGCONT)

    def ended(self) -> int:
        self.http.close()
        return super().ended()


class Fronts:
    """The fronts of one database, the first of which has made the first key."""

    def __init__(self, folder: Path, database: str, **options: Any) -> None:
        self._folder, self.database, self._options = folder, database, options
        self.all: list[FrontProcess] = []
        first = self.add()
        wait_for(lambda: first.role == "active")
        self.key = str(tomllib.loads((first.data / "client.toml").read_text())["key"])
        self.headers = {"authorization": f"Bearer {self.key}"}
        first.http.headers.update(self.headers)

    def add(self, **options: Any) -> FrontProcess:
        """Start one more."""
        options = {"data": self._folder / f"front-{len(self.all)}", **self._options, **options}
        front = FrontProcess(database=self.database, **options)
        if self.all:
            front.http.headers.update(self.headers)
        self.all.append(front)
        return front

    def add_standby(self, **options: Any) -> FrontProcess:
        """Start one more, and wait until it forwards."""
        front = self.add(**options)
        wait_for(lambda: front.health().get("active") is not None)
        return front

    def pair(self) -> tuple[FrontProcess, FrontProcess]:
        """The active front, and one that stands by; what an earlier test has ended is started anew."""
        alive = [front for front in self.all if front.process.poll() is None]
        wait_for(lambda: any(front.role == "active" for front in alive))
        (active,) = [front for front in alive if front.role == "active"]
        others = [front for front in alive if front is not active]
        return active, others[0] if others else self.add_standby()

    def deploy(self, front: FrontProcess, name: str = "app", source: str = "small") -> None:
        """Deploy an app, and wait until it is live."""
        answer = front.http.post(f"/stand/v1/projects/{name}/deploy", json={"source": source})
        build = answer.raise_for_status().json()["build_id"]
        front.http.get(f"/stand/v1/builds/{build}/log?follow=true")
        state = front.http.get(f"/stand/v1/builds/{build}").json()
        assert state["state"] == "live", state

    def close(self) -> None:
        """Stop all that run."""
        for front in self.all:
            if front.process.poll() is None:
                front.resume()
                front.process.terminate()
        for front in self.all:
            front.ended()


def wait_for(holds: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until it holds."""
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, "it did not come about in time"
        time.sleep(0.02)
