"""The invariants: after every step, when the platform is idle, and in the database at the end."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from .platform import SimulatedPlatform
from .world import Violation, World

__all__ = ["check_end", "check_rest", "check_step"]


def check_step(world: World, platform: SimulatedPlatform) -> None:
    """Check what must hold after every iteration of the loop. Raises Violation."""
    replicas = platform.pool.of_project(platform.project_id)
    active = sum(replica.state in ("starting", "ready") for replica in replicas)
    if active > world.profile.replicas_most:
        world.violate(f"{active} replicas are active where {world.profile.replicas_most} may be")
    for replica in replicas:
        if not 0 <= replica.inflight <= max(replica.concurrency, 1):
            world.violate(f"replica {replica.id[:6]} has {replica.inflight} calls, its limit is {replica.concurrency}")
        if replica.is_exclusive and replica.inflight > 1:
            world.violate(f"replica {replica.id[:6]} has {replica.inflight} calls, and one of them must be alone")
    _check_nodes(world, platform)
    queue = platform.dispatcher.queue(platform.project_id)
    waiting = [pending.call.id for pending in queue.waiting]
    if len(set(waiting)) < len(waiting) or set(waiting) & queue.running.keys():
        world.violate("a call is in the queue twice, or in the queue and in a replica")
    if world.violations:
        raise Violation(world.violations[0])


def _check_nodes(world: World, platform: SimulatedPlatform) -> None:
    """Check that what is reserved is in use, and that the loss of a node is no fault of the version's."""
    if platform.nodes.reserved != platform.pool.replicas.keys():
        world.violate(f"{platform.nodes.reserved} are reserved, and there are {list(platform.pool.replicas)}")
    for replica in platform.pool.replicas.values():
        node = platform.nodes.node_of(replica.id)
        if replica.free_capacity and node is not None and (node.is_lost or replica.id not in node.machines):
            world.violate(f"replica {replica.id[:6]} takes calls though {node.name} is known to be gone")
    for failing in platform.pool.failing.values():
        if failing.failures > world.faults:
            world.violate(f"a version has failed {failing.failures} times, and its replicas {world.faults} times")


def check_rest(platform: SimulatedPlatform) -> None:
    """Check that nothing is left when every call and every handler has ended. Raises Violation."""
    for replica in platform.pool.replicas.values():
        if replica.inflight and replica.state in ("ready", "draining"):
            raise Violation(f"replica {replica.id[:6]} still has slots taken by {replica.inflight} calls that are over")
    queue = platform.dispatcher.queue(platform.project_id)
    if queue.waiting or queue.running or queue.isolated or queue.size:
        counts = f"{len(queue.waiting)}, {len(queue.running)}, {queue.isolated}, {queue.size}"
        raise Violation(f"the queue is not empty: {counts}")


def check_end(world: World, data: Path, attempts: int) -> None:
    """Check the database when all calls are over. Raises Violation."""
    connection = sqlite3.connect(data / "stand.sqlite")
    try:
        _check_rows(world, connection, attempts)
    finally:
        connection.close()


def _check_rows(world: World, connection: sqlite3.Connection, attempts: int) -> None:
    if changed := connection.execute("SELECT id FROM changed_ends").fetchall():
        raise Violation(f"an end that was recorded has changed: {changed}")
    columns = "id, run_id, state, status, error, answer, attempts, request"
    rows = {row[0]: row for row in connection.execute(f"SELECT {columns} FROM calls")}
    for call, name in world.acknowledged.items():
        if call not in rows:
            raise Violation(f"{name} was acknowledged and has no row")
    for call, run_id, state, status, error, answer, counted, _ in rows.values():
        name = world.acknowledged.get(call, call)
        if state not in ("succeeded", "failed"):
            raise Violation(f"{name} has no end: it is {state}")
        if call in world.answers and world.answers[call] != (status, error):
            raise Violation(f"{name}: {(status, error)} is recorded, and {world.answers[call]} was answered")
        if counted > attempts:
            raise Violation(f"{name} has {counted} attempts, {attempts} are allowed")
        if state == "succeeded" and answer is not None and b'"name"' in answer:
            answered = json.loads(bytes(answer).removesuffix(b"more"))["name"]
            if call in world.acknowledged and answered != name:
                raise Violation(f"{name} has the answer of {answered}")
        _check_executions(world, name, run_id, error, attempts)


def _check_executions(world: World, name: str, run_id: str, error: str | None, attempts: int) -> None:
    """Check that a call is given up only after enough attempts of its own; a shared replica's death is none."""
    executions = world.executions.get(run_id, [])
    broken = [execution for execution in executions if execution.end in ("died", "lost", "runs", "killed")]
    uncounted = world.kills + 1  # a kill may come before it is written that others were beside a call
    if len(broken) > attempts + uncounted + 1:
        raise Violation(f"{name} was begun {len(executions)} times, and {attempts} attempts are allowed")
    if error is not None and error.startswith("the call was given up"):
        own = [execution for execution in broken if execution.alone or execution.end in ("lost", "killed")]
        if len(own) + world.lost_requests.get(run_id, 0) + world.kills < attempts:
            raise Violation(f"{name} was given up after {len(own)} attempts of its own, {attempts} are allowed")
