"""One replica: starts a program, waits until it is ready, watches it, and stops it.

Its states follow each other in this order: starting, ready, draining, stopping, ended. A failure ends it at once.
"""

from __future__ import annotations

import asyncio
import logging
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
from .liveness import Liveness, wait_until_hung
from .orphans import end_stragglers
from .process import Process, describe_exit, is_stopped, resident_memory, run_quietly
from .start_command import StartCommand
from .starter import StartedProgram, start_process
from .startup_probe import StartupProbe
from .worker_client import WorkerClient
from .writable_layer import remove_layer

__all__ = ["Replica", "Spawn", "State"]

log = logging.getLogger("bananastand.platform")

Spawn = Callable[[StartCommand, Callable[[str], None]], Awaitable[StartedProgram]]
State = Literal["starting", "ready", "draining", "stopping", "ended"]
PROBE_INTERVAL, MAX_PROBE_INTERVAL = 0.02, 0.25  # seconds between two readiness probes
MEMORY_LOOK = 1.0  # seconds between two looks at its memory
LIVENESS = Liveness()
LAST_LINES = 200  # enough for a traceback
REMOVE_CONTAINER = 20.0  # seconds for an engine to remove a container
PROGRESS_INTERVAL = 14.0  # seconds between two log lines that say what a start waits for


class Replica:
    """One running copy of a deployment.

    Args:
        deployment: The version that it runs.
        concurrency: Calls at once; 0 for the number that the app declares.
        changed: Called whenever `state` or `is_suspect` has changed.
        log: Called with the replica's id and each line of its log.
        spawn: Starts its program.
        gpu: The GPU that it uses.
        is_potassium: Whether its app runs on Potassium's own server.

    Attributes:
        inflight: Calls that it works on.
        background: Calls in flight that were answered already.
        is_exclusive: Whether the call in flight allows no other beside it.
        stuck_calls: Calls whose handlers ran past their time limit.
        is_suspect: Whether its last health check failed; it gets no calls then.
        is_stop_requested: Whether the platform has stopped it.
        failure: Why it ends, in words.
        startup_seconds: From its start until it was ready.
        ready: Done when it takes calls; raises ReplicaFailed if it never does.
        leaving: Done once it drains, stops or has ended.
        ended: Done once it has ended and is cleaned up.
    """

    def __init__(
        self,
        deployment: Deployment,
        concurrency: int,
        changed: Callable[[Replica], None],
        log: Callable[[str, str], None],
        *,
        spawn: Spawn = start_process,
        gpu: str | None = None,
        is_potassium: bool = False,
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.deployment, self.concurrency, self.gpu = deployment, concurrency, gpu
        self.state: State = "starting"
        self.inflight = self.background = self.stuck_calls = self.completed_calls = 0
        self.is_exclusive = self.is_suspect = self.is_stop_requested = False
        self.failure: str | None = None
        self.started_at = self.idle_since = time.monotonic()
        self.startup_seconds: float | None = None
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.leaving: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._changed, self._log, self._spawn = changed, log, spawn
        self._probe = StartupProbe(self.id, is_potassium=is_potassium)
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._process: Process | None = None
        self._life: asyncio.Task[None] | None = None
        self._retired: str | None = None
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def project_id(self) -> str:
        """The id of the project that it serves."""
        return self.deployment.project_id

    @property
    def declared_concurrency(self) -> int:
        """The number of calls at once that the app declares, once it is ready."""
        return self._probe.concurrency

    @property
    def startup_state(self) -> str:
        """What its start waits for, then how it became ready, in words."""
        return self._probe.progress

    @property
    def free_capacity(self) -> int:
        """The number of further calls that it takes now."""
        takes_calls = self.state == "ready" and not self.is_exclusive and not self.is_suspect and not self.is_dying
        return max(0, self.concurrency - self.inflight) if takes_calls else 0

    @property
    def is_idle(self) -> bool:
        """Whether it takes calls and has none."""
        return bool(self.free_capacity) and not self.inflight

    @property
    def is_dying(self) -> bool:
        """Whether it has ended, or is about to."""
        if self.state in ("stopping", "ended") or self.failure is not None:
            return True
        lost = self.connection_lost is not None and self.connection_lost.done()
        return lost or (self._process is not None and self._process.status is not None)

    @property
    def is_stopped(self) -> bool:
        """Whether one of its processes is stopped by a signal."""
        return self._process is not None and is_stopped(self._process.pid)

    @property
    def connection_lost(self) -> asyncio.Future[None] | None:
        """Done when its worker's connection has ended; None for a replica without a worker."""
        return self.worker.lost if self.worker is not None else None

    @property
    def client(self) -> ReplicaClient:
        """The client of a replica that is, or was, ready."""
        client = self._probe.client
        assert client is not None, "a replica that is ready has a client"
        return client

    @property
    def worker(self) -> WorkerClient | None:
        """The client of a Potassium app in the worker; None for an app that is a server of its own."""
        return self._probe.worker

    @property
    def address(self) -> tuple[str, int] | None:
        """The address of an app that is a server of its own; None for others, and until it is known."""
        return self._probe.address

    @property
    def memory_bytes(self) -> int:
        """The memory that its processes hold."""
        return resident_memory(self._process.pid) if self._process is not None and self.state != "ended" else 0

    @property
    def pid(self) -> int | None:
        """The id of its process group."""
        return self._process.pid if self._process is not None else None

    async def is_alive(self, timeout: float) -> bool:
        """Whether it answers a health check in `timeout` seconds."""
        return await self._probe.is_alive(timeout)

    def start(
        self, command: StartCommand, *, timeout: float, memory_mb: int | None, liveness: Liveness = LIVENESS
    ) -> None:
        """Start the program, and follow it to its end in a task.

        Args:
            command: What to run.
            timeout: Seconds until it must be ready.
            memory_mb: The memory that it may hold, in MiB; None for no limit.
            liveness: The schedule of its health checks.
        """
        self._life = asyncio.create_task(self._run(command, timeout, memory_mb, liveness), name=f"replica {self.id}")
        self._life.add_done_callback(lambda life: self._end_if_never_run())

    def _end_if_never_run(self) -> None:
        """End a replica whose task was cancelled before its first step: nothing of it has run."""
        if self.state != "ended":
            self.failure = self.failure or "stopped"
            self._become("ended")

    def log_event(self, line: str) -> None:
        """Write a line of the platform's own to the replica's log."""
        self._log(self.id, line)

    def release(self) -> None:
        """Count a call as finished, and stop if it was the last one of a draining replica."""
        self.inflight -= 1
        self.idle_since = time.monotonic()
        if not self.inflight:
            self.is_exclusive = False
        self._kill_if_only_stuck_calls_remain()
        if self.state == "draining" and not self.inflight and not self.is_dying:
            self.stop("drained")

    def drain(self, reason: str) -> None:
        """Take no new calls, and stop when the last one is finished."""
        if self.state == "ready" and self.inflight:
            self.log_event(f"drains: {reason}")
            self._become("draining")
        elif self.state in ("starting", "ready"):
            self.stop(reason)

    def retire(self, reason: str, limit: float, *, stuck: int = 0) -> None:
        """Take no new calls, and kill the replica when its other calls are finished.

        Args:
            reason: Why, for the log.
            limit: Seconds after which it is killed in any case.
            stuck: The number of calls that never finish.
        """
        if self.state not in ("ready", "draining"):
            return
        self.stuck_calls += stuck
        self._retired = reason
        self.log_event(f"takes no more calls: {reason}")
        if self.state == "ready":
            self._become("draining")
        self._timers.append(asyncio.get_running_loop().call_later(limit, self.kill, reason))
        self._kill_if_only_stuck_calls_remain()

    def set_suspect(self, is_suspect: bool) -> None:
        """Record that a health check failed, or succeeded again."""
        if self.is_suspect != is_suspect and self.state in ("ready", "draining"):
            self.is_suspect = is_suspect
            self.log_event("does not answer its health check" if is_suspect else "answers its health check again")
            self._changed(self)

    def stop(self, reason: str, grace: float = 35.0) -> None:
        """Stop it: SIGTERM, and SIGKILL after `grace` seconds."""
        if self.state in ("stopping", "ended"):
            return
        self.is_stop_requested = True
        self.failure = self.failure or reason
        self.log_event(f"stops: {reason}")
        self._become("stopping")
        if self._process is not None:
            self._stopping = asyncio.create_task(self._process.stop(grace))
        elif self._life is not None:
            self._life.cancel()

    def kill(self, reason: str) -> None:
        """End it at once, as failed."""
        if self.state not in ("stopping", "ended") and self._process is not None and self.failure is None:
            self.failure = reason
            self.log_event(f"is killed: {reason}")
            self._process.kill()

    def _kill_if_only_stuck_calls_remain(self) -> None:
        if self._retired is not None and self.inflight <= self.stuck_calls:
            self.kill(self._retired)

    def advice(self) -> str | None:
        """What to do about its failure, where that is known."""
        secrets = texts_to_mask(self.deployment.secrets.values())
        text = explain([*self._lines, self.failure or ""], environment=self.deployment.launch.environment)
        return mask(text, secrets) if text is not None else None

    def _tail(self) -> str:
        """The last lines as the end of a sentence, without secrets: callers without a key may read them."""
        return mask(tail(self._lines), texts_to_mask(self.deployment.secrets.values()))

    def _record_line(self, line: str) -> None:
        self._lines.append(line)
        self._log(self.id, line)

    async def _run(self, command: StartCommand, timeout: float, memory_mb: int | None, liveness: Liveness) -> None:
        watchers = list[asyncio.Task[None]]()
        started: StartedProgram | None = None
        try:
            started = await self._spawn(command, self._record_line)
            self._process = process = started.process
            self._probe.attach(started)
            if started.warning is not None:
                self.log_event(started.warning)
            spawned_at = time.monotonic()
            exit_status = asyncio.create_task(process.ended())
            if memory_mb is not None:
                watchers.append(asyncio.create_task(self._watch_memory(process.pid, memory_mb * 2**20)))
            await self._wait_until_ready(command, started, exit_status, timeout)
            if self.state == "starting":
                self.startup_seconds = time.monotonic() - self.started_at
                self.idle_since = time.monotonic()
                self.concurrency = self.concurrency or self.declared_concurrency
                how = f"{started.how} in {spawned_at - self.started_at:.3f} s; {self.startup_state}"
                self.log_event(f"ready after {self.startup_seconds:.2f} s: {how}")
                watchers.append(asyncio.create_task(self._watch_liveness(liveness)))
                self._become("ready")
            status = describe_exit(await exit_status)
            if not self.is_stop_requested:
                limit = command.cgroup.exceeded_limit() if command.cgroup is not None else None
                self.failure = self.failure or limit or f"the replica ended {status}{self._tail()}"
                self.log_event(f"ended {status}")
        except ReplicaFailed as error:
            self.failure = str(error)
            self.log_event(f"failed: {error}")
            await self._stop_at_once()
        except OSError as error:
            self.failure = f"{command.command[0]} cannot be started: {error.strerror}"
            self.log_event(self.failure)
        except Exception as error:
            log.exception("replica %s is ended: the platform failed to follow it", self.id)
            self.failure = f"the platform failed to follow it: {type(error).__name__}: {error}"
            await self._stop_at_once()
        except asyncio.CancelledError:
            self.failure = self.failure or "stopped"
            await self._stop_at_once()
        finally:
            for task in (*watchers, *self._timers):
                task.cancel()
            await self._clean_up(command, started)
            self._become("ended")

    async def _stop_at_once(self) -> None:
        if self._process is not None:
            await self._process.stop(0.0)

    async def _clean_up(self, command: StartCommand, started: StartedProgram | None) -> None:
        """Close connections, and remove the container, processes and files that the program has left."""
        if started is not None and started.reading is not None:
            started.reading.cancel()
        await self._probe.close()
        if command.container is not None and command.engine is not None:
            verb = ("rm",) if command.engine == "buildah" else ("rm", "--force")
            await run_quietly((command.engine, *verb, command.container), command.environment, REMOVE_CONTAINER)
        await asyncio.to_thread(end_stragglers, command)
        if started is not None and started.layer is not None:
            await asyncio.to_thread(remove_layer, started.layer)

    async def _wait_until_ready(
        self, command: StartCommand, started: StartedProgram, exit_status: asyncio.Task[int], timeout: float
    ) -> None:
        """Probe until the replica is ready.

        Raises:
            ReplicaFailed: The program has ended, or was not ready in `timeout` seconds.
        """
        pause, deadline = PROBE_INTERVAL, time.monotonic() + timeout
        next_report = self.started_at + PROGRESS_INTERVAL
        while self.state == "starting":
            started.changed.clear()
            if exit_status.done():
                if self.is_stop_requested:
                    return
                if command.cgroup is not None and (limit := command.cgroup.exceeded_limit()) is not None:
                    raise ReplicaFailed(f"{limit}{self._tail()}")
                ended = f"the app ended {describe_exit(exit_status.result())} while it started"
                raise ReplicaFailed(self.failure or f"{self._probe.failure or ended}{self._tail()}")
            if time.monotonic() > deadline:
                raise ReplicaFailed(f"the app was not ready after {timeout:g} s: {self.startup_state}{self._tail()}")
            if await self._probe.is_ready(command, started):
                return
            if time.monotonic() > next_report:
                next_report += PROGRESS_INTERVAL
                self.log_event(f"not ready after {time.monotonic() - self.started_at:.0f} s: {self.startup_state}")
            news = asyncio.create_task(started.changed.wait())
            await asyncio.wait({exit_status, news}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            pause = min(MAX_PROBE_INTERVAL, pause * 1.2)

    async def _watch_liveness(self, liveness: Liveness) -> None:
        self.kill(await wait_until_hung(self, liveness))

    async def _watch_memory(self, pid: int, limit: int) -> None:
        while True:
            await asyncio.sleep(MEMORY_LOOK)
            if (held := resident_memory(pid)) > limit:
                self.kill(f"it holds {held // 2**20} MiB of memory, {limit // 2**20} are allowed")
                return

    def _become(self, state: State) -> None:
        self.state = state
        if state not in ("starting", "ready") and not self.leaving.done():
            self.leaving.set_result(None)
        if state == "ready" and not self.ready.done():
            self.ready.set_result(None)
        elif state == "ended":
            if not self.ready.done():
                self.ready.set_exception(ReplicaFailed(self.failure or "the replica ended"))
                self.ready.exception()  # marked as retrieved: nobody may be waiting for it
            if not self.ended.done():
                self.ended.set_result(None)
        self._changed(self)
