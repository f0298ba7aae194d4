"""One replica: started, found healthy, watched, stopped. Knows its process and its port; decides nothing.

starting -> ready -> draining -> stopping -> ended; what fails ends at once.
"""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Literal

from .builds import Deployment
from .commands import Start
from .errors import ReplicaFailed
from .logs import hidden, tail, to_hide
from .process import Process, quietly, resident, spawn
from .replica_http import Answer, ReplicaHttp

__all__ = ["Replica", "Spawn", "State", "as_process"]

Spawn = Callable[[Start, Callable[[str], None]], Awaitable[tuple[Process, str]]]
State = Literal["starting", "ready", "draining", "stopping", "ended"]
LOOK, LOOK_MOST = 0.02, 0.25  # seconds between two probes while it starts
MEMORY_LOOK = 1.0  # seconds between two looks at its memory
LAST_LINES = 200  # enough for a traceback
ENGINE = 20.0  # seconds for an engine to remove a container
HEALTH = ("/readyz", "/_k/status", "/healthcheck")


async def as_process(start: Start, on_line: Callable[[str], None]) -> tuple[Process, str]:
    """Start it; and how it was started, in words."""
    return await spawn(start.command, start.folder, start.environment, on_line), "started as a process"


class Replica:
    """`inflight` calls are at work in it, `background` of them answered already. `ready` is done when it is healthy,
    and raises ReplicaFailed if it never is.

    It takes `slots` calls at once; where that is 0, as many as it says itself (`takes`), once it is ready.
    `changed` is called when its state has changed, `log` with each of its lines.
    """

    def __init__(
        self, deployment: Deployment, slots: int, http: ReplicaHttp, changed: Callable[[Replica], None],
        log: Callable[[str, str], None], *, spawn: Spawn = as_process, gpu: str | None = None,
    ) -> None:  # fmt: skip
        self.id = uuid.uuid4().hex[:12]
        self.deployment, self.slots, self.gpu = deployment, slots, gpu
        self.takes = 1
        self.state: State = "starting"
        self.inflight = 0
        self.background = 0
        self.port = 0
        self.failure: str | None = None
        self.started = self.idle_since = time.monotonic()
        self.took: float | None = None  # seconds from start to ready
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._http, self._changed, self._log, self._spawn = http, changed, log, spawn
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._process: Process | None = None
        self.asked = False
        self._life: asyncio.Task[None] | None = None

    @property
    def project_id(self) -> str:
        """Whose it is."""
        return self.deployment.project_id

    @property
    def free(self) -> int:
        """How many more calls it takes."""
        return max(0, self.slots - self.inflight) if self.state == "ready" else 0

    @property
    def memory(self) -> int:
        """Bytes that it holds."""
        return resident(self._process.pid) if self._process is not None and self.state != "ended" else 0

    @property
    def pid(self) -> int | None:
        """Of its process group."""
        return self._process.pid if self._process is not None else None

    def begin(self, start: Start, *, timeout: float, memory_mb: int | None) -> None:
        """Start it and follow it to its end."""
        self.port = start.port
        self._life = asyncio.create_task(self._live(start, timeout, memory_mb), name=f"replica {self.id}")

    def say(self, line: str) -> None:
        """A line of the stand's own in its log."""
        self._log(self.id, line)

    def release(self) -> None:
        """A call has left it."""
        self.inflight -= 1
        self.idle_since = time.monotonic()
        if self.state == "draining" and not self.inflight:
            self.stop("drained")

    def drain(self, reason: str) -> None:
        """No new call; it stops when the last one is over."""
        if self.state == "ready" and self.inflight:
            self.say(f"drains: {reason}")
            self._become("draining")
        elif self.state in ("starting", "ready"):
            self.stop(reason)

    def stop(self, reason: str, grace: float = 35.0) -> None:
        """End it: SIGTERM, and SIGKILL after the grace."""
        if self.state in ("stopping", "ended"):
            return
        self.asked = True
        self.failure = self.failure or reason
        self.say(f"stops: {reason}")
        self._become("stopping")
        if self._process is not None:
            self._ending = asyncio.create_task(self._process.stop(grace))
        elif self._life is not None:
            self._life.cancel()

    def fail(self, reason: str) -> None:
        """End it now, as one that has failed."""
        if self.state not in ("stopping", "ended") and self._process is not None:
            self.failure = reason
            self.say(f"is ended: {reason}")
            self._process.signal(signal.SIGKILL)

    def _tail(self) -> str:
        """The last lines, as the end of a sentence; they are told where it fails, to people without a key too."""
        return hidden(tail(self._lines), to_hide(self.deployment.secrets.values()))

    def _hear(self, line: str) -> None:
        self._lines.append(line)
        self._log(self.id, line)

    async def _live(self, start: Start, timeout: float, memory_mb: int | None) -> None:
        watcher: asyncio.Task[None] | None = None
        try:
            self._process, how = await self._spawn(start, self._hear)
            process, spawned = self._process, time.monotonic()
            end = asyncio.create_task(process.ended())
            if memory_mb is not None:
                watcher = asyncio.create_task(self._watch_memory(process.pid, memory_mb * 2**20))
            await self._wait_until_healthy(start, end, timeout)
            if self.state == "starting":
                self.took = time.monotonic() - self.started
                self.idle_since = time.monotonic()
                first, rest = spawned - self.started, self.took - (spawned - self.started)
                self.say(f"ready after {self.took:.2f} s: {how} in {first:.3f} s, healthy {rest:.2f} s later")
                self._become("ready")
            status = await end
            if not self.asked:
                self.failure = self.failure or f"the replica ended with status {status}{self._tail()}"
                self.say(f"ended with status {status}")
        except ReplicaFailed as error:
            self.failure = str(error)
            self.say(f"failed: {error}")
            if self._process is not None:
                await self._process.stop(0.0)
        except OSError as error:
            self.failure = f"{start.command[0]} cannot be started: {error.strerror}"
            self.say(self.failure)
        except asyncio.CancelledError:
            self.failure = self.failure or "stopped"
            if self._process is not None:
                await self._process.stop(0.0)
        finally:
            if watcher is not None:
                watcher.cancel()
            await self._remove_container(start)
            self._become("ended")

    async def _wait_until_healthy(self, start: Start, end: asyncio.Task[int], timeout: float) -> None:
        """Raises ReplicaFailed."""
        path, pause, until = None, LOOK, time.monotonic() + timeout
        while self.state == "starting":
            if end.done():
                if self.asked:
                    return
                raise ReplicaFailed(
                    self.failure or f"the app ended with status {end.result()} while it started{self._tail()}"
                )
            if time.monotonic() > until:
                raise ReplicaFailed(f"the app was not healthy after {timeout:g} s{self._tail()}")
            path = path or await self._health_path(start)
            if path is not None:
                answer = await self._http.get(start.port, path)
                if answer is not None and answer.status == 200:
                    self.takes = _takes(answer)
                    self.slots = self.slots or self.takes
                    return
            await asyncio.wait({end}, timeout=pause)
            pause = min(LOOK_MOST, pause * 1.2)

    async def _health_path(self, start: Start) -> str | None:
        """Where it tells of its health; None while nothing listens."""
        if start.host != "command":
            return "/readyz" if start.host == "bananastand" else "/_k/status"
        for path in HEALTH:
            answer = await self._http.get(start.port, path)
            if answer is None:
                return None
            if answer.status not in (404, 405):
                return path
        raise ReplicaFailed(f"port {start.port} answers, but has none of {', '.join(HEALTH)}")

    async def _watch_memory(self, pid: int, most: int) -> None:
        while True:
            await asyncio.sleep(MEMORY_LOOK)
            if (held := resident(pid)) > most:
                self.fail(f"it holds {held // 2**20} MiB of memory, {most // 2**20} are allowed")
                return

    async def _remove_container(self, start: Start) -> None:
        """What the engine keeps of a container, after its client's end."""
        if start.container is None or start.engine is None:
            return
        verb = ("rm",) if start.engine == "buildah" else ("rm", "--force")
        await quietly((start.engine, *verb, start.container), start.environment, ENGINE)

    def _become(self, state: State) -> None:
        self.state = state
        if state == "ready" and not self.ready.done():
            self.ready.set_result(None)
        elif state == "ended":
            if not self.ready.done():
                self.ready.set_exception(ReplicaFailed(self.failure or "the replica ended"))
                self.ready.exception()  # nobody need ask
            if not self.over.done():
                self.over.set_result(None)
        self._changed(self)


def _takes(answer: Answer) -> int:
    """Calls at once, as our host tells them with its health; any other server takes one."""
    told = answer.json()
    takes = told.get("concurrency") if isinstance(told, dict) else None
    return takes if isinstance(takes, int) and takes > 0 else 1
