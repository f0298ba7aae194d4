"""Fake replicas: processes that start, serve, hang and die, and the client that the platform asks them by."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from typing import Any, cast

from bananastand.platform.nodes import Address, Connect
from bananastand.platform.replicas.client import (
    ConnectionLost,
    OnChunk,
    OnHead,
    ReplicaBusy,
    ReplicaRequest,
    ReplicaResponse,
    RequestNotDelivered,
    ResponseMalformed,
    ResponseTimeout,
)

from .world import Execution, World

__all__ = ["Machine", "RunningMachine"]

JSON = (("content-type", "application/json"),)


class RunningMachine:
    """A replica's program, as its node offers it."""

    how, port, is_own_host = "simulated", 8000, False
    gpu: str | None = None
    warning: str | None = None
    connect: Connect | None = None

    def __init__(self, machine: Machine, node: str, lost: asyncio.Future[str] | None) -> None:
        self.node, self.lost = node, lost
        self._machine, self.changed, self.pid = machine, machine.changed, machine.pid
        self.worker = cast(Any, machine)
        self.addresses = dict[int, Address]()  # none is ever open: it has a worker
        self.memory_bytes = 0
        self.ended, self.kill, self.stop = machine.ended, machine.kill, machine.stop

    @property
    def status(self) -> int | None:
        return self._machine.status

    @property
    def is_stopped(self) -> bool:
        return self._machine.is_stopped

    @property
    def was_killed_from_outside(self) -> bool:
        return self._machine.was_killed_from_outside

    def exceeded_limit(self) -> str | None:
        return None

    def forward(self, waited: float) -> None:
        return None

    async def clean_up(self) -> None:
        await asyncio.sleep(0)


class Machine:
    """A replica: its process and the client of its worker in one.

    Args:
        world: Decides what happens.
        is_over: Whether the end of a run is recorded.
        pid: Its process.
        name: The replica's id.
        reachable: Set while its node is: else nothing passes, in either direction.
    """

    def __init__(
        self, world: World, is_over: Callable[[str], bool], pid: int, name: str, reachable: asyncio.Event
    ) -> None:
        loop = asyncio.get_running_loop()
        self.pid, self.name = pid, f"replica {name[:6]}"
        self._world, self._is_over, self._loop, self._reachable = world, is_over, loop, reachable
        self._sending = set[asyncio.Future[None]]()  # the connections of requests that have not arrived
        self._held = list[Callable[[], None]]()  # what happens once its node is reachable again
        self.concurrency = world.profile.concurrency
        self.phase, self.failure = "loading", None
        self.potassium, self.python, self.modules = "0.5.0", "3.11.0", list[str]()
        self.changed = asyncio.Event()
        self.lost: asyncio.Future[None] = loop.create_future()
        self._end: asyncio.Future[int] = loop.create_future()
        self._running: dict[int, tuple[Execution, asyncio.Future[None]]] = {}  # by request
        self.is_dead = self.is_hung = self.is_stopped = self.was_killed_from_outside = False
        self.lies = False  # it says that it lives while it hangs

    # The process.

    @property
    def status(self) -> int | None:
        return self._end.result() if self._end.done() else None

    async def ended(self) -> int:
        await asyncio.wait({self._end})
        return self._end.result()

    def kill(self) -> None:
        self._world.note(self.name, "is killed by the platform")
        self._world.faults += 1
        self._when_reachable(lambda: self.die("killed"))

    def signal(self, number: int) -> None:
        if number == signal.SIGKILL:
            self.kill()

    async def stop(self, grace: float) -> int:
        await self._reachable.wait()
        if not self.is_dead and not self.is_hung and not self._running:
            await asyncio.sleep(self._world.soon(0.05))
        elif not self.is_dead:
            await asyncio.wait({self._end}, timeout=grace)
        self.die("stopped")
        return await self.ended()

    def boot(self) -> None:
        """Get ready, or not, and misbehave later."""
        world = self._world
        if world.happens(world.profile.bad_start):
            how = world.chance.choice(("dies", "fails", "never"))
            world.note(self.name, f"starts badly: {how}")
            world.faults += 1
            if how == "dies":
                self._later(world.soon(1.0), self.die, "at its start")
            elif how == "fails":
                self._later(world.soon(1.0), self._fail)
            return
        self._later(world.soon(0.5), self._get_ready)
        if world.happens(world.profile.hang):
            self._later(world.soon(10.0), self._hang)
        if world.profile.death and not world.healing:
            self._later(world.chance.expovariate(world.profile.death), self.die, "by itself", True)

    def die(self, why: str, misbehaves: bool = False, *, quietly: bool = False) -> None:
        """Its process ends: its connections break, and its end becomes known, in any order."""
        if self.is_dead or (misbehaves and self._world.healing):
            return
        if not quietly:
            self._world.note(self.name, f"dies: {why}")
            self._world.faults += why not in ("stopped", "killed")
        self.vanish()
        if not quietly:
            self._later(self._world.soon(0.02), _resolve, self._end, -9)
            self.break_connections()

    def vanish(self) -> None:
        """It ends, and nothing comes from it any more."""
        self.is_dead = True
        for execution, _ in self._running.values():
            execution.end = "died"

    def break_connections(self) -> None:
        """Let the platform see the end of all connections to it, in any order."""
        self._later(self._world.soon(0.02), _resolve, self.lost)
        for _, lost in self._running.values():
            self._later(self._world.soon(0.02), _resolve, lost)

    def resume(self) -> None:
        """Its node is reachable again."""
        held, self._held = self._held, []
        for act in held:
            act()

    def _hang(self) -> None:
        if self.is_dead or self._world.healing:
            return
        self.is_hung = True
        self._world.faults += 1
        self.is_stopped = self._world.chance.random() < 0.5
        self.lies = not self.is_stopped and self._world.chance.random() < 0.3
        self._world.note(self.name, "is stopped" if self.is_stopped else "hangs, and lies" if self.lies else "hangs")

    def _get_ready(self) -> None:
        if not self.is_dead and not self.is_hung:
            self.phase = "ready"
            self._world.note(self.name, "is ready")
            self.changed.set()

    def _fail(self) -> None:
        if not self.is_dead:
            self._world.faults += 1
            self.phase, self.failure = "failed", "init() failed"
            self.changed.set()
            self._later(self._world.soon(0.1), self.die, "init() failed")

    def _later(self, seconds: float, what: Callable[..., None], *arguments: Any) -> None:
        def act() -> None:
            if not self._world.dead:
                self._when_reachable(lambda: what(*arguments))

        self._loop.call_later(seconds, act)

    def _when_reachable(self, act: Callable[[], None]) -> None:
        if self._reachable.is_set():
            act()
        else:
            self._held.append(act)

    async def _pass(self, lost: asyncio.Future[None]) -> None:
        """Wait until its node is reachable, or a connection breaks."""
        if not self._reachable.is_set():
            reachable = asyncio.ensure_future(self._reachable.wait())
            await asyncio.wait({reachable, lost}, return_when=asyncio.FIRST_COMPLETED)
            reachable.cancel()

    # The client of its worker.

    async def close(self) -> None:
        await asyncio.sleep(0)
        for _, lost in self._running.values():
            _resolve(lost)
        for lost in self._sending:
            _resolve(lost)

    async def is_alive(self, timeout: float) -> bool:
        is_mute = self.is_dead or (self.is_hung and not self.lies) or not self._reachable.is_set()
        if is_mute or self._world.happens(self._world.profile.flaky_health):
            await asyncio.sleep(timeout)
            return False
        await asyncio.sleep(min(timeout, self._world.soon(0.01)))
        return True

    def is_background(self, request: ReplicaRequest) -> bool:
        return request.path == "/background"

    def runs_on(self, request: ReplicaRequest) -> bool:
        return id(request) in self._running

    async def until_done(self, request: ReplicaRequest, limit: float) -> bool:
        until = self._loop.time() + limit
        while id(request) in self._running and self._loop.time() < until:
            await asyncio.sleep(0.2)
        return id(request) not in self._running

    async def send(
        self, request: ReplicaRequest, timeout: float, *, on_head: OnHead | None = None, on_chunk: OnChunk | None = None
    ) -> ReplicaResponse:
        world, body = self._world, request.body
        payload = json.loads(body if isinstance(body, bytes) else body.path.read_bytes())
        lost: asyncio.Future[None] = self._loop.create_future()
        await asyncio.sleep(world.soon(0.002))
        if not self._reachable.is_set():
            await self._arrive(lost, timeout)
        if self.is_dead or lost.done():
            if world.chance.random() < 0.5:
                raise RequestNotDelivered("the worker is gone")
            run_id = dict(request.headers)["x-banana-request-id"]
            world.lost_requests[run_id] = world.lost_requests.get(run_id, 0) + 1
            raise ConnectionLost("it was sent, and nobody knows whether a handler has begun")
        if world.happens(world.profile.busy):
            world.note(self.name, f"is too busy for {payload['name']}")
            raise ReplicaBusy
        execution = self._begin(request, payload["name"], lost)
        try:
            async with asyncio.timeout(timeout):
                return await self._handle(request, payload, execution, lost, on_head, on_chunk)
        except TimeoutError:
            world.note(self.name, f"{payload['name']} is out of time")
            self._end_later(request, payload)
            raise ResponseTimeout from None
        except asyncio.CancelledError:
            world.note(self.name, f"{payload['name']} is cancelled")
            execution.end = "cancelled"
            self._end_later(request, payload)
            raise

    async def _arrive(self, lost: asyncio.Future[None], timeout: float) -> None:
        """Wait for a request to arrive. Raises ResponseTimeout."""
        self._sending.add(lost)
        try:
            async with asyncio.timeout(timeout):
                await self._pass(lost)
        except TimeoutError:
            raise ResponseTimeout from None
        finally:
            self._sending.discard(lost)

    def _begin(self, request: ReplicaRequest, name: str, lost: asyncio.Future[None]) -> Execution:
        world = self._world
        run_id = dict(request.headers)["x-banana-request-id"]
        earlier = world.executions.setdefault(run_id, [])
        world.note(self.name, f"a handler begins {name} (number {len(earlier) + 1})")
        if self._is_over(run_id):
            world.violate(f"a handler of {name} begins after the call's end was recorded")
        if any(execution.end == "answered" for execution in earlier):
            world.violate(f"a handler of {name} begins though an earlier one has answered")
        execution = Execution(self.name, world.now, alone=not self._running)
        for other, _ in self._running.values():
            other.alone = False
        earlier.append(execution)
        self._running[id(request)] = (execution, lost)
        if len(self._running) > self.concurrency:
            world.violate(f"{self.name} has {len(self._running)} calls and takes {self.concurrency}")
        return execution

    async def _handle(
        self, request: ReplicaRequest, payload: dict[str, Any], execution: Execution, lost: asyncio.Future[None],
        on_head: OnHead | None, on_chunk: OnChunk | None,
    ) -> ReplicaResponse:  # fmt: skip
        kind = payload["kind"]
        if kind in ("stuck", "holds"):
            if kind == "holds":
                self.is_hung = True
            await asyncio.wait({lost})
        await asyncio.wait({lost}, timeout=payload["seconds"] if kind != "crash" else payload["seconds"] / 2)
        if kind == "crash" and not self.is_dead:
            self.die(f"under {payload['name']}")
            await asyncio.wait({lost})
        if self.is_hung or self.is_dead:
            await asyncio.wait({lost})
        await self._pass(lost)
        if lost.done() or self._world.happens(self._world.profile.death / 5):
            execution.end = "died" if self.is_dead else "lost"
            self._running.pop(id(request), None)
            raise ConnectionLost("the connection broke")
        if kind != "background":
            self._running.pop(id(request), None)
        if kind == "garbage":
            execution.end = "answered"
            raise self._world.chance.choice((ValueError("what nobody has foreseen"), ResponseMalformed("not HTTP")))
        return await self._answer(request, payload, execution, on_head, on_chunk)

    async def _answer(
        self, request: ReplicaRequest, payload: dict[str, Any], execution: Execution,
        on_head: OnHead | None, on_chunk: OnChunk | None,
    ) -> ReplicaResponse:  # fmt: skip
        world, kind, body = self._world, payload["kind"], json.dumps({"name": payload["name"]}).encode()
        for _ in range(world.chance.choice((1, 1, 2))):  # an answer that begins twice
            if on_head is not None:
                on_head(200, JSON)
        if on_chunk is not None:
            await on_chunk(body)
            if kind == "stream":
                await asyncio.sleep(world.soon(0.2))
                await on_chunk(b"more")
        execution.end = "answered"
        status = {"unavailable": 503, "fails": 500, "odd": 999}.get(kind, 200)
        world.note(self.name, f"answers {payload['name']} with {status}")
        if kind == "background":
            self._later(world.soon(3.0), self._over, request)
        return ReplicaResponse(status, JSON, body + b"more" if kind == "stream" else body)

    def _end_later(self, request: ReplicaRequest, payload: dict[str, Any]) -> None:
        """A handler that was told to stop goes on for a while, or for good."""
        if payload["kind"] not in ("stuck", "holds") and not self.is_hung:
            self._later(self._world.soon(1.0), self._over, request)

    def _over(self, request: ReplicaRequest) -> None:
        self._running.pop(id(request), None)


def _resolve(future: asyncio.Future[Any], value: Any = None) -> None:
    if not future.done():
        future.set_result(value)
