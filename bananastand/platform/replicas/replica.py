"""One replica: starts a program, waits until it is ready, watches it, and stops it.

Its states follow each other in this order: starting, ready, draining, stopping, ended. A failure ends it at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from ..errors import NodeLost, ReplicaFailed
from ..nodes import Address, Connect, Nodes, ReplicaOrder, RunningReplica
from ..store.builds import Deployment
from ..store.logs import mask, tail, texts_to_mask
from .advice import explain
from .client import ReplicaClient
from .liveness import Liveness, wait_until_hung
from .node_loss import end_of, stop_on_node
from .process import describe_exit
from .startup_probe import StartupProbe
from .worker_client import WorkerClient

__all__ = ["Replica", "State"]

log = logging.getLogger("bananastand.platform")

State = Literal["starting", "ready", "draining", "stopping", "ended"]
PROBE_INTERVAL, MAX_PROBE_INTERVAL = 0.02, 0.25  # seconds between two readiness probes
MEMORY_LOOK = 1.0  # seconds between two looks at its memory
LIVENESS = Liveness()
LAST_LINES = 200  # enough for a traceback
PROGRESS_INTERVAL = 14.0  # seconds between two log lines that say what a start waits for


class Replica:
    """One running copy of a deployment.

    Args:
        deployment: The version that it runs.
        order: What its node needs to start it.
        nodes: Starts its program.
        changed: Called whenever `state` or `is_suspect` has changed.
        log: Called with the replica's id and each line of its log.

    Attributes:
        inflight: Calls that it works on.
        background: Calls in flight that were answered already.
        is_exclusive: Whether the call in flight allows no other beside it.
        stuck_calls: Calls whose handlers ran past their time limit.
        is_suspect: Whether its last health check failed; it gets no calls then.
        is_stop_requested: Whether the platform has stopped it.
        is_lost: Whether it has ended because its node is gone.
        is_moving: Whether it drains once a replica on another node is ready.
        was_killed_from_outside: Whether it has ended by SIGKILL that neither the platform nor its limits have sent.
        failure: Why it ends, in words.
        startup_seconds: From its start until it was ready.
        ready: Done when it takes calls; raises ReplicaFailed if it never does.
        leaving: Done once it drains, stops or has ended.
        ended: Done once it has ended and is cleaned up.
    """

    def __init__(
        self,
        deployment: Deployment,
        order: ReplicaOrder,
        nodes: Nodes,
        changed: Callable[[Replica], None],
        log: Callable[[str, str], None],
    ) -> None:
        self.id = order.replica
        self.deployment, self.order, self.concurrency = deployment, order, order.concurrency
        self.state: State = "starting"
        self.inflight = self.background = self.stuck_calls = self.completed_calls = 0
        self.is_exclusive = self.is_suspect = self.is_stop_requested = False
        self.is_lost = self.is_moving = self.was_killed_from_outside = False
        self.failure: str | None = None
        self.started_at = self.idle_since = time.monotonic()
        self.startup_seconds: float | None = None
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.leaving: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._changed, self._log, self._nodes = changed, log, nodes
        health, is_potassium = order.launch.health, order.host == "potassium"
        self._probe = StartupProbe(self.id, health=health, is_potassium=is_potassium)
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._running: RunningReplica | None = None
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
    def health_path(self) -> str | None:
        """The path at which the app answers 200 once it is ready; None if none is known."""
        return self._probe.health_path

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
        gone = self.node_lost is not None and self.node_lost.done()
        return lost or gone or (self._running is not None and self._running.status is not None)

    @property
    def is_stopped(self) -> bool:
        """Whether one of its processes is stopped by a signal."""
        return self._running is not None and self._running.is_stopped

    @property
    def connection_lost(self) -> asyncio.Future[None] | None:
        """Done when its worker's connection has ended; None for a replica without a worker."""
        return self.worker.lost if self.worker is not None else None

    @property
    def node_lost(self) -> asyncio.Future[str] | None:
        """Done when its node is gone; None for a replica on this machine, and until it is started."""
        return self._running.lost if self._running is not None else None

    @property
    def node(self) -> str:
        """The name of its node; "" on this machine, and until it is started."""
        return self._running.node if self._running is not None else ""

    @property
    def gpu(self) -> str | None:
        """The GPUs that it uses; None without, and until it is started."""
        return self._running.gpu if self._running is not None else None

    @property
    def running(self) -> RunningReplica | None:
        """Its program, once it is started."""
        return self._running

    @property
    def connect(self) -> Connect | None:
        """Opens connections to `address`; None for plain TCP from this machine."""
        return self._running.connect if self._running is not None else None

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
    def address(self) -> Address | None:
        """The address of an app that is a server of its own; None for others, and until it is known."""
        return self._probe.address

    @property
    def memory_bytes(self) -> int:
        """The memory that its processes hold."""
        return self._running.memory_bytes if self._running is not None and self.state != "ended" else 0

    @property
    def pid(self) -> int | None:
        """The id of its process group."""
        return self._running.pid if self._running is not None else None

    async def is_alive(self, timeout: float) -> bool:
        """Whether it answers a health check in `timeout` seconds."""
        return await self._probe.is_alive(timeout)

    def start(self, *, timeout: float, liveness: Liveness = LIVENESS) -> None:
        """Start the program, and follow it to its end in a task.

        Args:
            timeout: Seconds until it must be ready.
            liveness: The schedule of its health checks.
        """
        self._life = asyncio.create_task(self._run(timeout, liveness), name=f"replica {self.id}")
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
        if self._running is not None:
            self._stopping = asyncio.create_task(stop_on_node(self._running, grace))
        elif self._life is not None:
            self._life.cancel()

    def kill(self, reason: str) -> None:
        """End it at once, as failed."""
        if self.state not in ("stopping", "ended") and self._running is not None and self.failure is None:
            self.failure = reason
            self.log_event(f"is killed: {reason}")
            self._running.kill()

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

    async def _run(self, timeout: float, liveness: Liveness) -> None:
        watchers = list[asyncio.Task[None]]()
        running: RunningReplica | None = None
        try:
            running = self._running = await self._nodes.start(self.order, self._record_line)
            self._probe.attach(running)
            if running.warning is not None:
                self.log_event(running.warning)
            spawned_at = time.monotonic()
            exit_status = asyncio.create_task(end_of(running))
            if (memory_mb := self.order.resources.memory_mb) is not None:
                watchers.append(asyncio.create_task(self._watch_memory(running, memory_mb * 2**20)))
            await self._wait_until_ready(running, exit_status, timeout)
            if self.state == "starting":
                self.startup_seconds = time.monotonic() - self.started_at
                self.idle_since = time.monotonic()
                self.concurrency = self.concurrency or self.declared_concurrency
                how = f"{running.how}{_place(running)} in {spawned_at - self.started_at:.3f} s; {self.startup_state}"
                self.log_event(f"ready after {self.startup_seconds:.2f} s: {how}")
                watchers.append(asyncio.create_task(self._watch_liveness(liveness)))
                self._become("ready")
            status = describe_exit(await exit_status)
            if not self.is_stop_requested:
                self._note_kill(running)
                self.failure = self.failure or running.exceeded_limit() or f"the replica ended {status}{self._tail()}"
                self.log_event(f"ended {status}")
        except NodeLost as error:
            self.is_lost = True
            self.failure = str(error)
            self.log_event(f"lost: {error}")
        except ReplicaFailed as error:
            self.failure = str(error)
            self.log_event(f"failed: {error}")
            await self._stop_at_once()
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
            await self._probe.close()
            if running is not None:
                await running.clean_up()
            self._become("ended")

    async def _stop_at_once(self) -> None:
        if self._running is not None:
            await stop_on_node(self._running, 0.0)

    def _note_kill(self, running: RunningReplica) -> None:
        self.was_killed_from_outside = self.failure is None and running.was_killed_from_outside

    async def _wait_until_ready(self, running: RunningReplica, exit_status: asyncio.Task[int], timeout: float) -> None:
        """Probe until the replica is ready.

        Raises:
            NodeLost: Its node is gone.
            ReplicaFailed: The program has ended, or was not ready in `timeout` seconds.
        """
        pause, deadline = PROBE_INTERVAL, time.monotonic() + timeout
        next_report = self.started_at + PROGRESS_INTERVAL
        while self.state == "starting":
            running.changed.clear()
            if exit_status.done():
                if self.is_stop_requested:
                    return
                ended = f"the app ended {describe_exit(exit_status.result())} while it started"
                if (limit := running.exceeded_limit()) is not None:
                    raise ReplicaFailed(f"{limit}{self._tail()}")
                self._note_kill(running)
                raise ReplicaFailed(self.failure or f"{self._probe.failure or ended}{self._tail()}")
            if time.monotonic() > deadline:
                raise ReplicaFailed(f"the app was not ready after {timeout:g} s: {self.startup_state}{self._tail()}")
            if await self._probe.is_ready(running):
                return
            if time.monotonic() > next_report:
                next_report += PROGRESS_INTERVAL
                self.log_event(f"not ready after {time.monotonic() - self.started_at:.0f} s: {self.startup_state}")
            news = asyncio.create_task(running.changed.wait())
            await asyncio.wait({exit_status, news}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            pause = min(MAX_PROBE_INTERVAL, pause * 1.2)

    async def _watch_liveness(self, liveness: Liveness) -> None:
        self.kill(await wait_until_hung(self, liveness))

    async def _watch_memory(self, running: RunningReplica, limit: int) -> None:
        while True:
            await asyncio.sleep(MEMORY_LOOK)
            if (held := running.memory_bytes) > limit:
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


def _place(running: RunningReplica) -> str:
    """Say where it runs, for the log."""
    node = f" on {running.node}" if running.node else ""
    return f"{node} on GPU {running.gpu}" if running.gpu else node
