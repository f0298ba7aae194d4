"""The rows of calls: queued, leased, requeued, and ended exactly once.

A call is written before it is acknowledged. The replica that works on it holds its lease; a lease ends with its holder,
and as a data directory has one supervisor at a time, all leases that exist when a supervisor starts are void. Callers
who wait hear from the supervisor (`scheduling`) and do not poll these rows.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, delete, select, update

from ..errors import StoreError
from ..replicas.client import Headers, ReplicaRequest
from . import tables
from .blobs import SMALL, Blobs
from .bodies import FileBody
from .projects import Project
from .store import Store
from .tables import header_list

__all__ = [
    "JSON_BODY",
    "WEBSOCKET",
    "CallOutcome",
    "CallRow",
    "Calls",
    "fingerprint",
    "leased_to",
    "of_request",
    "storable",
]

WEBSOCKET = "WEBSOCKET"  # the method of a call that is a websocket
JSON_BODY: Headers = (("content-type", "application/json"),)
State = Literal["queued", "running", "succeeded", "failed"]
T = tables.calls.c
COLUMNS = [column for column in tables.calls.columns if column.name not in ("body", "answer")]
ROW_COLUMNS = [column.name for column in COLUMNS if column.name != "number"]
END_COLUMNS = ("state", "lease", "leased_until", "finished", "status", "answer_headers", "error", "request")
USAGE_COLUMNS = ("runs", "succeeded", "failed", "compute_seconds", "cold_starts")

# Prepared once: SQLAlchemy takes longer to build a statement than SQLite to run it.
ADD_COLUMNS = [column.name for column in tables.calls.columns if column.name not in ("number", "answer")]
ADD = f"INSERT INTO calls ({', '.join(ADD_COLUMNS)}) VALUES ({', '.join(':' + name for name in ADD_COLUMNS)})"
CHANGE = update(tables.calls).where(T.id == bindparam("call"), T.state.in_(("queued", "running")))
LEASE = (
    "UPDATE calls SET state = 'running', lease = :lease, leased_until = :leased_until, attempts = :attempts, "
    "begun = :begun WHERE id = :call AND state = 'queued'"
)
END = (
    f"UPDATE calls SET {', '.join(f'{name} = :{name}' for name in (*END_COLUMNS, 'answer', 'body', 'headers'))} "
    "WHERE id = :call AND state IN ('queued', 'running')"
)
COUNT = (
    f"INSERT INTO usage (day, model_key, {', '.join(USAGE_COLUMNS)}) "
    f"VALUES (:day, :model_key, {', '.join(':' + name for name in USAGE_COLUMNS)}) ON CONFLICT (day, model_key) "
    f"DO UPDATE SET {', '.join(f'{name} = usage.{name} + excluded.{name}' for name in USAGE_COLUMNS)}"
)
MADE_BEFORE = select(*COLUMNS).where(T.project_id == bindparam("project"), T.request == bindparam("made"))
FIND = (
    select(*COLUMNS)
    .where((T.id == bindparam("name")) | (T.run_id == bindparam("name")))
    .order_by(T.number.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call without its bodies.

    Attributes:
        number: Counts the calls of all projects, in the order in which they came.
        id: The platform's id of the call.
        run_id: The caller's id of the run.
        method: The HTTP method.
        route: Path with its query, percent-encoded as it was sent.
        headers: The headers that the app may see, until the call has ended.
        request: The digest under which a repeated request finds this call; None if it cannot be repeated.
        lease: The replica that works on it.
        attempts: The attempts that count: a running one, and those whose replica ended with no other call in it.
        cold: Whether no replica was ready when it came.
        status: The answer's status, once there is one.
        answer_headers: The answer's headers.
        alone: Whether it is tried with no other call beside it, because a replica has died under it.
    """

    number: int
    id: str
    run_id: str
    project_id: str
    method: str
    route: str
    headers: Headers
    request: str | None
    state: State
    lease: str | None
    leased_until: float | None
    attempts: int
    cold: bool
    created: float
    begun: float | None
    finished: float | None
    status: int | None
    answer_headers: Headers
    error: str | None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How a call ended.

    Attributes:
        status: The status that its caller gets.
        headers: The headers that its caller gets.
        body: The body that its caller gets.
        error: Why the call failed; None for a success.
        retryable: Whether the work was not done, so that the same request is a new call.
    """

    status: int
    headers: Headers
    body: bytes
    error: str | None = None
    retryable: bool = False

    @property
    def from_app(self) -> bool:
        """Whether the app gave this answer; the platform's own answers have the error as their body."""
        return self.error is None or self.body != self.error.encode()


class Calls:
    """The calls of a data directory.

    Args:
        store: The database.
        blobs: Bodies of more than SMALL bytes.
    """

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self._store, self._blobs = store, blobs
        with store.reading() as connection:  # as it is stored
            rows = connection.execute(select(tables.usage))
            self._usage = {(row[0], row[1]): tuple(row[2:]) for row in rows}

    @staticmethod
    def new(
        project: Project, request: ReplicaRequest, *, run_id: str | None, digest: str | None, cold: bool
    ) -> CallRow:
        """Return a queued call that has no row yet.

        Args:
            project: The project whose app is called.
            request: What the app gets.
            run_id: The caller's id of the run.
            digest: Under which a repeated request finds the call.
            cold: Whether no replica is ready.
        """
        return CallRow(
            0, f"call_{uuid.uuid4()}", run_id or str(uuid.uuid4()), project.id, request.method, request.path,
            request.headers, digest, "queued", None, None, 0, cold, time.time(), None, None, None, (), None, False,
        )  # fmt: skip

    async def add(self, call: CallRow, body: bytes | FileBody, *, durable: bool = True) -> CallRow:
        """Write a call.

        Args:
            call: From `new`.
            body: Of its request.
            durable: Whether the call survives a power cut before its end; not needed where its caller waits.

        Raises:
            StoreError: No row could be written.
        """
        small = None
        if isinstance(body, FileBody):
            await self._blobs.adopt(_body_name(call), body.path)
        elif len(body) > SMALL:
            await self._blobs.put(_body_name(call), body)
        else:
            small = body
        row = _new_row(call, small)

        def insert(connection: Connection) -> int:
            return self._store.insert(connection, ADD, row)

        number = await (self._store.write(insert) if durable else self._store.write_short(insert, durable=False))
        return replace(call, number=number)

    def add_now(self, call: CallRow, body: bytes) -> CallRow | None:
        """Write a call with a small body at once, which a power cut may undo.

        Returns:
            The call; None where it has to wait for somebody who writes.

        Raises:
            StoreError: No row could be written.
        """
        row = _new_row(call, body)
        is_written, number = self._store.write_now(lambda connection: self._store.insert(connection, ADD, row))
        return replace(call, number=number) if is_written else None

    async def sync(self) -> None:
        """Wait until all that `add_now` has written survives a power cut. Raises StoreError."""
        await self._store.sync()

    async def lease(self, call: CallRow, holder: str, seconds: float) -> CallRow:
        """Write that a call is leased to a replica for `seconds`, which counts as an attempt. Raises StoreError."""
        leased = leased_to(call, holder, seconds)
        row = {
            "lease": holder, "leased_until": leased.leased_until, "attempts": leased.attempts, "begun": leased.begun,
            "call": call.id,
        }  # fmt: skip
        await self._store.write_short(lambda connection: self._store.execute(connection, LEASE, row), durable=False)
        return leased

    def requeue(self, call: CallRow, *, counted: bool, alone: bool = False) -> CallRow:
        """Put a leased call back into the queue, in its place.

        Args:
            call: The call.
            counted: Whether the attempt counts against the limit.
            alone: Whether it is to be tried alone from now on.
        """
        attempts = call.attempts if counted else max(0, call.attempts - 1)
        alone = alone or call.alone
        return self._write(call, state="queued", lease=None, leased_until=None, attempts=attempts, alone=alone)

    async def finish(self, call: CallRow, outcome: CallOutcome, model_key: str, *, has_file: bool = True) -> CallRow:
        """Record the end of a call, and count it in its day's usage, in one transaction; a recorded end stays.

        Args:
            call: The call.
            outcome: How it ended.
            model_key: Of its project.
            has_file: Whether the request's body may lie in a file, which is deleted.

        Raises:
            StoreError: It is not recorded durably.
        """
        if len(outcome.body) > SMALL:
            await self._blobs.put(_answer_name(call), outcome.body)
        now = time.time()
        ended = replace(
            call,
            state="failed" if outcome.error is not None else "succeeded",
            lease=None, leased_until=None, finished=now, status=outcome.status, answer_headers=outcome.headers,
            error=None if outcome.error is None else storable(outcome.error),
            request=None if outcome.retryable else call.request,
        )  # fmt: skip
        answer = outcome.body if len(outcome.body) <= SMALL else None
        end = {name: getattr(ended, name) for name in END_COLUMNS}
        row = {
            **end, "answer_headers": header_list(ended.answer_headers), "answer": answer, "body": None, "headers": None,
            "call": call.id,
        }  # fmt: skip
        usage = _usage_of(ended, model_key)

        def write(connection: Connection) -> bool:
            is_new = self._store.execute(connection, END, row) > 0
            if not is_new and connection.scalar(select(T.id).where(T.id == call.id)) is None:
                self._store.insert(connection, ADD, _new_row(call, None))  # a server's crash has undone its row
                is_new = self._store.execute(connection, END, row) > 0
            if is_new:
                self._store.execute(connection, COUNT, usage)
            return is_new

        if await self._store.write_short(write):
            self._count(usage)
        if has_file:
            await self._blobs.remove(_body_name(call))
        return ended

    async def find(self, name: str) -> CallRow | None:
        """Return the call of that id, or the newest of that run id; None if there is none."""
        return await self._one(FIND, {"name": name})

    async def made_before(self, project: Project, request: str) -> CallRow | None:
        """Return the call that was made under this request digest."""
        return await self._one(MADE_BEFORE, {"project": project.id, "made": request})

    async def other_made_before(self, project: Project, start: str) -> bool:
        """Return whether a call of the project has a request digest that begins with `start`."""
        table, until = tables.calls, start[:-1] + chr(ord(start[-1]) + 1)
        query = select(table.c.id).where(
            table.c.project_id == project.id, table.c.request >= start, table.c.request < until
        )
        return await self._store.read(lambda connection: connection.execute(query.limit(1)).first() is not None)

    async def existing(self, ids: Sequence[str]) -> Sequence[str]:
        """Return those of the ids, at most 1,000, that calls have."""
        query = select(T.id).where(T.id.in_(ids))
        return await self._store.read(lambda connection: connection.scalars(query).all())

    async def body(self, call: CallRow) -> bytes | FileBody:
        """Return the request's body. Raises StoreError."""
        query = select(T.body).where(T.id == call.id)
        value = await self._store.read(lambda connection: connection.scalar(query))
        if value is not None:
            return bytes(value)
        path = await self._blobs.local(_body_name(call))
        return FileBody(path, await asyncio.to_thread(_size, path))

    def body_size(self, call: CallRow) -> int:
        """Return the size of a body that lies in a file, in bytes; 0 for one that does not."""
        return self._blobs.size_here(_body_name(call))

    async def answer(self, call: CallRow) -> bytes:
        """Return the body of the answer. Raises StoreError."""
        query = select(T.answer).where(T.id == call.id)
        value = await self._store.read(lambda connection: connection.scalar(query))
        return bytes(value) if value is not None else await self._blobs.get(_answer_name(call))

    async def unfinished(self) -> list[CallRow]:
        """Return the calls that are queued or leased, in the order in which they came."""
        query = select(*COLUMNS).where(T.finished.is_(None)).order_by(T.number)
        return [CallRow(*row) for row in await self._store.read(lambda connection: connection.execute(query).all())]

    async def forget_before(self, moment: float) -> int:
        """Delete up to 1,000 calls that ended before that moment, with their answers; return how many."""
        table = tables.calls

        def remove(connection: Connection) -> Sequence[str]:
            old = connection.scalars(select(table.c.id).where(table.c.finished < moment).limit(1000)).all()
            connection.execute(delete(table).where(table.c.id.in_(old)))
            return old

        old = await self._store.write(remove)
        await self._blobs.remove_all(f"{id}.answer" for id in old)
        return len(old)

    async def ids(self, project: Project | None = None) -> frozenset[str]:
        """Return the ids of all calls, or of those of a project."""
        query = select(T.id) if project is None else select(T.id).where(T.project_id == project.id)
        return await self._store.read(lambda connection: frozenset(connection.scalars(query)))

    async def sweep(self) -> None:
        """Delete the files that belong to no call."""
        known = await self.ids()
        self._blobs.sweep(lambda name: name in known)

    def usage(self) -> list[Any]:
        """Return rows of (day, model_key, runs, succeeded, failed, compute_seconds, cold_starts)."""
        return [(*key, *counts) for key, counts in self._usage.items()]

    def _count(self, usage: dict[str, Any]) -> None:
        key, added = (usage["day"], usage["model_key"]), tuple(usage[name] for name in USAGE_COLUMNS)
        earlier = self._usage.get(key, (0,) * len(added))
        self._usage[key] = tuple(old + new for old, new in zip(earlier, added, strict=True))

    async def _one(self, query: Any, named: dict[str, str]) -> CallRow | None:
        row = await self._store.read(lambda connection: connection.execute(query, named).one_or_none())
        return None if row is None else CallRow(*row)

    def _write(self, call: CallRow, **fields: Any) -> CallRow:
        with self._store.transaction(durable=False) as connection:
            connection.execute(CHANGE, {**fields, "call": call.id})
        return replace(call, **fields)


def leased_to(call: CallRow, holder: str, seconds: float) -> CallRow:
    """Return a call as it is while a replica has it for `seconds`."""
    now = time.time()
    return replace(
        call, state="running", lease=holder, leased_until=now + seconds, attempts=call.attempts + 1, begun=now
    )


def fingerprint(request_id: str, request: ReplicaRequest) -> str:
    """Return the digest of the caller's request id, the method, the path with its query, and the body."""
    route = request.path if request.method == "POST" else f"{request.method} {request.path}"
    body = request.body if isinstance(request.body, bytes) else request.body.digest.encode()
    of_body = hashlib.sha256(f"{route}\0".encode("utf-8", "surrogatepass") + body).hexdigest()
    return f"{of_request(request_id)}{of_body}"


def of_request(request_id: str) -> str:
    """Return the prefix of the digests of all requests with this id."""
    return f"{hashlib.sha256(request_id.encode('utf-8', 'surrogatepass')).hexdigest()}:"


def storable(text: str) -> str:
    """Return a text as a database and HTTP can hold it: lone surrogates become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _usage_of(call: CallRow, model_key: str) -> dict[str, Any]:
    """Return what a call adds to the usage of the day on which it ends."""
    assert call.finished is not None
    good, seconds = call.state == "succeeded", max(0.0, call.finished - (call.begun or call.finished))
    return {
        "day": datetime.fromtimestamp(call.finished, UTC).date().isoformat(), "model_key": model_key, "runs": 1,
        "succeeded": int(good), "failed": int(not good), "compute_seconds": seconds, "cold_starts": int(call.cold),
    }  # fmt: skip


def _new_row(call: CallRow, body: bytes | None) -> dict[str, Any]:
    row = {name: getattr(call, name) for name in ROW_COLUMNS}
    return {**row, "headers": header_list(call.headers), "answer_headers": None, "body": body}


def _size(path: Path) -> int:
    """Return the size of a file. Raises StoreError."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error


def _body_name(call: CallRow) -> str:
    return f"{call.id}.body"


def _answer_name(call: CallRow) -> str:
    return f"{call.id}.answer"
