"""What must hold after every step, and when all is over."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from .platform import Platform
from .world import Violation, World

__all__ = ["check_end", "check_rest", "check_step"]


def check_step(world: World, platform: Platform) -> None:
    """After every round of the loop. Raises Violation."""
    replicas = platform.pool.of_project(platform.project_id)
    standing = sum(each.state in ("starting", "ready") for each in replicas)
    if standing > world.profile.replicas_most:
        world.violate(f"{standing} replicas stand where {world.profile.replicas_most} may")
    for each in replicas:
        if not 0 <= each.inflight <= max(each.concurrency, 1):
            world.violate(f"replica {each.id[:6]} has {each.inflight} calls and takes {each.concurrency}")
        if each.is_exclusive and each.inflight > 1:
            world.violate(f"replica {each.id[:6]} has {each.inflight} calls, and one of them is to be alone")
    line = platform.dispatcher.line(platform.project_id)
    waiting = [each.made.id for each in line.waiting]
    if len(set(waiting)) < len(waiting) or set(waiting) & line.at_work.keys():
        world.violate("a call is in the queue twice, or in the queue and in a replica")
    if world.violations:
        raise Violation(world.violations[0])


def check_rest(platform: Platform) -> None:
    """When every call is over and every handler has ended. Raises Violation."""
    for each in platform.pool.replicas.values():
        if each.inflight and each.state in ("ready", "draining"):
            raise Violation(f"replica {each.id[:6]} still holds a place for {each.inflight} calls that are over")
    line = platform.dispatcher.line(platform.project_id)
    if line.waiting or line.at_work or line.alone or line.size:
        raise Violation(f"the queue is not empty: {len(line.waiting)}, {len(line.at_work)}, {line.alone}, {line.size}")


def check_end(world: World, data: Path, attempts: int) -> None:
    """What the database says when all is over. Raises Violation."""
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
        if call in world.told and world.told[call] != (status, error):
            raise Violation(f"{name}: {(status, error)} is recorded, and {world.told[call]} was told")
        if counted > attempts:
            raise Violation(f"{name} has {counted} attempts, {attempts} are allowed")
        if state == "succeeded" and answer is not None and b'"name"' in answer:
            said = json.loads(bytes(answer).removesuffix(b"more"))["name"]
            if call in world.acknowledged and said != name:
                raise Violation(f"{name} has the answer of {said}")
        _check_executions(world, name, run_id, error, attempts)


def _check_executions(world: World, name: str, run_id: str, error: str | None, attempts: int) -> None:
    """A call is given up for attempts that it made alone; what it died in with others counts for nobody."""
    executions = world.executions.get(run_id, [])
    broken = [each for each in executions if each.end in ("died", "lost", "runs", "killed")]
    uncounted = world.kills + 1  # a kill may come before it is written that others were beside a call
    if len(broken) > attempts + uncounted + 1:
        raise Violation(f"{name} was begun {len(executions)} times, and {attempts} attempts are allowed")
    if error is not None and error.startswith("the call was given up"):
        own = [each for each in broken if each.alone or each.end in ("lost", "killed")]
        if len(own) + world.lost_requests.get(run_id, 0) + world.kills < attempts:
            raise Violation(f"{name} was given up after {len(own)} attempts of its own, {attempts} are allowed")
