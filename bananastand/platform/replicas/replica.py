"""One replica: started, found ready, watched, stopped. Knows its process and its client; decides nothing.

starting -> ready -> draining -> stopping -> ended; what fails ends at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Literal

from ..errors import ReplicaFailed
from ..store.builds import Deployment
from ..store.logs import mask, tail, texts_to_mask
from .advice import explain
from .client import ReplicaClient
from .health import ask_health, is_reachable
from .http_client import HttpClient
from .liveness import Liveness, until_hung
from .orphans import end_left
from .process import Process, is_stopped, quietly, resident
from .start_command import Start
from .starter import Started, start_process
from .worker_client import WorkerClient
from .writable_layer import remove_layer

__all__ = ["Replica", "Spawn", "State"]

log = logging.getLogger("bananastand.platform")

Spawn = Callable[[Start, Callable[[str], None]], Awaitable[Started]]
State = Literal["starting", "ready", "draining", "stopping", "ended"]
LOOK, LOOK_MOST = 0.02, 0.25  # seconds between two probes while it starts
MEMORY_LOOK = 1.0  # seconds between two looks at its memory
LIVENESS = Liveness()
LAST_LINES = 200  # enough for a traceback
ENGINE = 20.0  # seconds for an engine to remove a container
SILENCE = 14.0  # seconds between two lines that say what a start waits for
IN_CONTAINER = "; in a container it must listen on 0.0.0.0, not on 127.0.0.1, or be built with --builder process"
OTHER_PORT = 20.0  # seconds after which a port counts that is not the expected one


class Replica:
    """`inflight` calls run in it, `background` of them answered already. `ready` is done when it takes calls, and
    raises ReplicaFailed if it never does; `leaving` is done once it drains, stops or has ended. `waits_for` says
    meanwhile what was asked and what came.

    It takes `slots` calls at once; where that is 0, as many as it says itself (`takes`), once it is ready.
    `changed` is called when its state has changed, `log` with each of its lines.

    Attributes:
        exclusive: Whether the call in it wants no other beside it.
        stuck: Calls in it whose handlers did not end in their time.
        is_suspect: Whether it has left its last health question without an answer; then it takes no calls.
    """

    def __init__(
        self, deployment: Deployment, slots: int, changed: Callable[[Replica], None],
        log: Callable[[str, str], None], *, spawn: Spawn = start_process, gpu: str | None = None,
        is_potassium: bool = False,
    ) -> None:  # fmt: skip
        self.id = uuid.uuid4().hex[:12]
        self.deployment, self.slots, self.gpu = deployment, slots, gpu
        self.takes = 1
        self.state: State = "starting"
        self.inflight = 0
        self.background = 0
        self.exclusive = self.is_suspect = False
        self.stuck = 0
        self.answered = 0  # calls, since its start
        self.waits_for = "its program starts"
        self.failure: str | None = None
        self.started = self.idle_since = time.monotonic()
        self.took: float | None = None  # seconds from start to ready
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.leaving: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed, self._log, self._spawn = changed, log, spawn
        self._worker: WorkerClient | None = None
        self._is_potassium = is_potassium
        self._http: HttpClient | None = None
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._process: Process | None = None
        self.asked = False
        self._life: asyncio.Task[None] | None = None
        self._retired: str | None = None
        self._health_path: str | None = None
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def project_id(self) -> str:
        """Whose it is."""
        return self.deployment.project_id

    @property
    def free(self) -> int:
        """How many more calls it takes."""
        takes_calls = self.state == "ready" and not self.exclusive and not self.is_suspect and not self.is_dying
        return max(0, self.slots - self.inflight) if takes_calls else 0

    @property
    def is_idle(self) -> bool:
        """Whether it takes calls and has none."""
        return bool(self.free) and not self.inflight

    @property
    def is_dying(self) -> bool:
        """Whether it has ended, or is about to."""
        if self.state in ("stopping", "ended") or self.failure is not None:
            return True
        lost = self.lost is not None and self.lost.done()
        return lost or (self._process is not None and self._process.status is not None)

    @property
    def is_stopped(self) -> bool:
        """Whether one of its processes is stopped by a signal."""
        return self._process is not None and is_stopped(self._process.pid)

    @property
    def lost(self) -> asyncio.Future[None] | None:
        """Done when its worker's connection has ended; None for one without a worker."""
        return self._worker.lost if self._worker is not None and self._http is None else None

    async def answers(self, timeout: float) -> bool:
        """Whether it answers a health question in time."""
        if self._http is not None:
            return await is_reachable(self._http, self._health_path, timeout)
        return self._worker is not None and await self._worker.is_alive(timeout)

    @property
    def client(self) -> ReplicaClient:
        """Asks it. Only of one that is, or was, ready."""
        client = self._http or self._worker
        assert client is not None, "a replica that is ready has a client"
        return client

    @property
    def worker(self) -> WorkerClient | None:
        """The client of a Potassium app in our worker; None for an app that is a server of its own."""
        return self._worker if self._http is None else None

    @property
    def address(self) -> tuple[str, int] | None:
        """Where an app that is a server of its own listens; None for one in our worker, and while it is not known."""
        return self._http.address if self._http is not None else None

    @property
    def memory(self) -> int:
        """Bytes that it holds."""
        return resident(self._process.pid) if self._process is not None and self.state != "ended" else 0

    @property
    def pid(self) -> int | None:
        """Of its process group."""
        return self._process.pid if self._process is not None else None

    def begin(self, start: Start, *, timeout: float, memory_mb: int | None, liveness: Liveness = LIVENESS) -> None:
        """Start it and follow it to its end.

        Args:
            start: What to execute.
            timeout: Seconds until it must be ready.
            memory_mb: What it may hold.
            liveness: How often it is asked for its health once it is ready.
        """
        self._life = asyncio.create_task(self._live(start, timeout, memory_mb, liveness), name=f"replica {self.id}")
        self._life.add_done_callback(lambda life: self._end_unbegun())

    def _end_unbegun(self) -> None:
        """A task that is cancelled before its first step runs nothing, what ends the replica included."""
        if self.state != "ended":
            self.failure = self.failure or "stopped"
            self._become("ended")

    def say(self, line: str) -> None:
        """A line of the stand's own in its log."""
        self._log(self.id, line)

    def release(self) -> None:
        """A call has left it."""
        self.inflight -= 1
        self.idle_since = time.monotonic()
        if not self.inflight:
            self.exclusive = False
        self._end_if_retired()
        if self.state == "draining" and not self.inflight and not self.is_dying:
            self.stop("drained")

    def drain(self, reason: str) -> None:
        """No new call; it stops when the last one is over."""
        if self.state == "ready" and self.inflight:
            self.say(f"drains: {reason}")
            self._become("draining")
        elif self.state in ("starting", "ready"):
            self.stop(reason)

    def retire(self, reason: str, limit: float, *, stuck: int = 0) -> None:
        """It takes no new calls, and is killed when those that it has are over, at last after `limit`.

        Args:
            reason: Why.
            limit: Seconds that its calls have.
            stuck: How many of them never end.
        """
        if self.state not in ("ready", "draining"):
            return
        self.stuck += stuck
        self._retired = reason
        self.say(f"takes no more calls: {reason}")
        if self.state == "ready":
            self._become("draining")
        self._timers.append(asyncio.get_running_loop().call_later(limit, self.fail, reason))
        self._end_if_retired()

    def suspect(self, is_suspect: bool) -> None:
        """It has left a health question without an answer, or has answered again."""
        if self.is_suspect != is_suspect and self.state in ("ready", "draining"):
            self.is_suspect = is_suspect
            self.say("does not answer its health question" if is_suspect else "answers its health question again")
            self._changed(self)

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
        if self.state not in ("stopping", "ended") and self._process is not None and self.failure is None:
            self.failure = reason
            self.say(f"is ended: {reason}")
            self._process.kill()

    def _end_if_retired(self) -> None:
        if self._retired is not None and self.inflight <= self.stuck:
            self.fail(self._retired)

    def advice(self) -> str | None:
        """What to do about its failure, where that is known."""
        secret = texts_to_mask(self.deployment.secrets.values())
        step = explain([*self._lines, self.failure or ""], environment=self.deployment.launch.environment)
        return mask(step, secret) if step is not None else None

    def _tail(self) -> str:
        """The last lines, as the end of a sentence; they are told where it fails, to people without a key too."""
        return mask(tail(self._lines), texts_to_mask(self.deployment.secrets.values()))

    def _hear(self, line: str) -> None:
        self._lines.append(line)
        self._log(self.id, line)

    async def _live(self, start: Start, timeout: float, memory_mb: int | None, liveness: Liveness) -> None:
        watchers = list[asyncio.Task[None]]()
        started: Started | None = None
        try:
            started = await self._spawn(start, self._hear)
            self._process, self._worker = started.process, started.worker
            process, spawned = self._process, time.monotonic()
            end = asyncio.create_task(process.ended())
            if memory_mb is not None:
                watchers.append(asyncio.create_task(self._watch_memory(process.pid, memory_mb * 2**20)))
            await self._wait_until_ready(start, started, end, timeout)
            if self.state == "starting":
                self.took = time.monotonic() - self.started
                self.idle_since = time.monotonic()
                first = spawned - self.started
                self.say(f"ready after {self.took:.2f} s: {started.how} in {first:.3f} s; {self.waits_for}")
                watchers.append(asyncio.create_task(self._watch_liveness(liveness)))
                self._become("ready")
            status = await end
            if not self.asked:
                limit = start.cgroup.problem() if start.cgroup is not None else None
                self.failure = self.failure or limit or f"the replica ended {_status(status)}{self._tail()}"
                self.say(f"ended {_status(status)}")
        except ReplicaFailed as error:
            self.failure = str(error)
            self.say(f"failed: {error}")
            if self._process is not None:
                await self._process.stop(0.0)
        except OSError as error:
            self.failure = f"{start.command[0]} cannot be started: {error.strerror}"
            self.say(self.failure)
        except Exception as error:
            log.exception("replica %s is ended: the platform failed to follow it", self.id)
            self.failure = f"the platform failed to follow it: {type(error).__name__}: {error}"
            if self._process is not None:
                await self._process.stop(0.0)
        except asyncio.CancelledError:
            self.failure = self.failure or "stopped"
            if self._process is not None:
                await self._process.stop(0.0)
        finally:
            for task in (*watchers, *self._timers):
                task.cancel()
            await self._close_clients(started)
            await self._remove_container(start)
            await asyncio.to_thread(end_left, start)
            if started is not None and started.layer is not None:
                await asyncio.to_thread(remove_layer, started.layer)
            self._become("ended")

    async def _close_clients(self, started: Started | None) -> None:
        if started is not None and started.reading is not None:
            started.reading.cancel()
        for client in (self._worker, self._http):
            if client is not None:
                await client.close()

    async def _wait_until_ready(self, start: Start, started: Started, end: asyncio.Task[int], timeout: float) -> None:
        """Raises ReplicaFailed."""
        pause, until, next_word = LOOK, time.monotonic() + timeout, self.started + SILENCE
        while self.state == "starting":
            started.changed.clear()
            if end.done():
                if self.asked:
                    return
                failed = self._worker.failure if self._worker is not None else None
                if start.cgroup is not None and (limit := start.cgroup.problem()) is not None:
                    raise ReplicaFailed(f"{limit}{self._tail()}")
                reason = failed or f"the app ended {_status(end.result())} while it started"
                raise ReplicaFailed(self.failure or f"{reason}{self._tail()}")
            if time.monotonic() > until:
                raise ReplicaFailed(f"the app was not ready after {timeout:g} s: {self.waits_for}{self._tail()}")
            if await self._look(start, started):
                return
            if time.monotonic() > next_word:
                next_word += SILENCE
                self.say(f"not ready after {time.monotonic() - self.started:.0f} s: {self.waits_for}")
            news = asyncio.create_task(started.changed.wait())
            await asyncio.wait({end, news}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            pause = min(LOOK_MOST, pause * 1.2)

    async def _look(self, start: Start, started: Started) -> bool:
        """Whether it is ready; `waits_for` says what was asked and what came."""
        worker = started.worker
        if worker is not None and worker.phase in ("app", "ready", "failed"):
            self.waits_for = "its init() runs"
            if worker.phase != "ready":
                return False
            self.takes = worker.concurrency
            self.slots = self.slots or self.takes
            self.waits_for = f"Potassium {worker.potassium} on Python {worker.python}, hosted by the worker"
            return True
        place = self._place(start, started)
        if place is None:
            return False
        if self._http is None or self._http.address != place:
            if self._http is not None:
                await self._http.close()
            self._http = HttpClient(place, replica=self.id, is_potassium=self._is_potassium)
        health = await ask_health(self._http, start.health)
        self.waits_for = health.reason
        if not health.answered and start.container is not None and start.engine != "buildah":
            self.waits_for += IN_CONTAINER
        if health.is_ready:
            self._health_path = health.path
            self.takes = health.concurrency
            self.slots = self.slots or self.takes
        return health.is_ready

    def _place(self, start: Start, started: Started) -> tuple[str, int] | None:
        """Where the app listens: the expected port, else, after a while, another that it has opened."""
        ports = started.ports
        if ports is None or not start.moves:
            return ("127.0.0.1", start.port)
        if (place := ports.place(start.port)) is not None:
            return place
        others = ports.others
        if not others:
            self.waits_for = f"nothing listens on port {start.port} yet"
            return None
        self.waits_for = f"the app listens on port {others[0]}, and not on {start.port}"
        return ports.place(others[0]) if time.monotonic() - self.started > OTHER_PORT else None

    async def _watch_liveness(self, liveness: Liveness) -> None:
        self.fail(await until_hung(self, liveness))

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
        if state not in ("starting", "ready") and not self.leaving.done():
            self.leaving.set_result(None)
        if state == "ready" and not self.ready.done():
            self.ready.set_result(None)
        elif state == "ended":
            if not self.ready.done():
                self.ready.set_exception(ReplicaFailed(self.failure or "the replica ended"))
                self.ready.exception()  # nobody need ask
            if not self.over.done():
                self.over.set_result(None)
        self._changed(self)


def _status(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"
