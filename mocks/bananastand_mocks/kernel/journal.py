"""What was called and what was answered, without secrets, in a ring of so many bytes. Knows no provider."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bananastand.contracts.json_body import dump

from .matching import Difference, differences, known

__all__ = ["BUDGET", "Deliveries", "Entry", "Journal", "Sent", "Verdict"]

BUDGET = 16 * 2**20  # bytes a world's journal may hold, as they lie in memory
KEPT = 256 * 2**10  # of one body; a longer one is left out
PACKED = 256  # a longer body is kept as JSON: as objects, `[{},{},...]` takes twenty times its length
UNPACKED = 8  # bytes in memory for each byte of a body that is kept as objects, about
OVERHEAD = 1500  # what an entry takes beside what the caller sent, about
NEAREST = 3
SENT = 1000  # deliveries that are remembered


@dataclass(frozen=True, slots=True)
class Entry:
    """One call. `operation` is None where the address names none; `kept` is what `body` is made of."""

    number: int
    at: float
    provider: str
    operation: str | None
    method: str
    path: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    kept: Any
    status: int
    answer: bytes
    faults: tuple[str, ...]

    @property
    def body(self) -> Any:
        """JSON, text or None."""
        return json.loads(self.kept) if isinstance(self.kept, bytes) else self.kept

    def dump(self) -> dict[str, Any]:
        """As JSON; the answer as text."""
        return {
            "number": self.number,
            "at": self.at,
            "provider": self.provider,
            "operation": self.operation,
            "method": self.method,
            "path": self.path,
            "query": dict(self.query),
            "headers": dict(self.headers),
            "body": self.body,
            "status": self.status,
            "answer": self.answer.decode("utf-8", "replace"),
            "faults": list(self.faults),
        }


@dataclass(frozen=True, slots=True)
class Sent:
    """One try to deliver a message of the mock's own; `error` says why it failed."""

    at: float
    subject: str
    url: str
    status: int | None
    error: str | None


class Deliveries(list[Sent]):
    """The tries to deliver one message, oldest first."""

    @property
    def waits(self) -> list[float]:
        """Seconds before each try, since the one before it; 0 before the first."""
        return [round(each.at - self[max(i - 1, 0)].at, 3) for i, each in enumerate(self)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether as many calls fitted as were expected, and if not, those that came nearest and why they did not."""

    verified: bool
    matched: int
    expected: Mapping[str, int]
    near_misses: list[tuple[Entry, list[Difference]]]

    def explain(self) -> str:
        """In words, for an assertion."""
        lines = [f"expected {dict(self.expected)} calls, found {self.matched}"]
        for entry, found in self.near_misses:
            lines.append(f"near miss: call {entry.number}, {entry.method} {entry.path} -> {entry.status}")
            lines += [f"    {each.field}: expected {each.expected!r}, got {each.got!r}" for each in found]
        return "\n".join(lines)


class Journal:
    """The calls of one world, newest last. A budget of 0 keeps nothing."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self._entries: deque[tuple[int, Entry]] = deque()
        self._bytes = 0
        self._count = 0
        self._sent: deque[Sent] = deque(maxlen=SENT)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return (entry for _, entry in list(self._entries))

    def record(
        self,
        at: float,
        provider: str,
        operation: str | None,
        method: str,
        path: str,
        query: Mapping[str, Any],
        headers: Mapping[str, str],
        body: Any,
        body_bytes: int,
        status: int,
        answer: bytes,
        faults: tuple[str, ...] = (),
        *,
        head_bytes: int = 0,
    ) -> None:
        """Keep one call, and forget the oldest where the budget is spent. Everything must be without secrets.

        `head_bytes` is how long path, query and headers are, `body_bytes` how long the body is.
        """
        if not self.budget:
            return
        self._count += 1
        if body_bytes > KEPT:
            body, body_bytes = f"[{body_bytes} bytes left out]", 40
        if len(answer) > KEPT:
            answer = b"[%d bytes left out]" % len(answer)
        if body_bytes > PACKED:
            body = dump(body)
        else:
            body_bytes *= UNPACKED
        size = OVERHEAD + head_bytes + body_bytes + len(answer)
        entry = Entry(self._count, at, provider, operation, method, path, query, headers, body, status, answer, faults)
        self._entries.append((size, entry))
        self._bytes += size
        while self._bytes > self.budget:
            self._bytes -= self._entries.popleft()[0]

    def sent(self, at: float, subject: str, url: str, status: int | None, error: str | None) -> None:
        """Note a try to deliver something; the subject is what it tells of."""
        self._sent.append(Sent(at, subject, url, status, error))

    def deliveries(self, subject: str | None = None) -> Deliveries:
        """The tries to deliver what tells of a subject; all of them without one."""
        return Deliveries(each for each in list(self._sent) if subject in (None, each.subject))

    def clear(self) -> None:
        """Forget all calls and deliveries, and count from 1 again."""
        self._entries.clear()
        self._sent.clear()
        self._bytes = self._count = 0

    def find(self, **expected: Any) -> list[Entry]:
        """The calls whose fields are these: provider, operation, method, path, status; query, headers, body in part."""
        known(expected)
        return [entry for entry in self if not differences(expected, entry)]

    def verify(
        self, *, exactly: int | None = None, at_least: int | None = None, at_most: int | None = None, **expected: Any
    ) -> Verdict:
        """Whether so many calls fitted, exactly one if no number is given. `expected` as in `find`."""
        known(expected)
        if exactly is None and at_least is None and at_most is None:
            exactly = 1
        bounds = {"exactly": exactly, "at_least": at_least, "at_most": at_most}
        judged = [(entry, differences(expected, entry)) for entry in self]
        matched = sum(1 for _, found in judged if not found)
        verified = (
            (exactly is None or matched == exactly)
            and (at_least is None or matched >= at_least)
            and (at_most is None or matched <= at_most)
        )
        missed = sorted((each for each in judged if each[1]), key=lambda each: len(each[1]))
        shown = [] if verified else missed[:NEAREST]
        return Verdict(verified, matched, {key: each for key, each in bounds.items() if each is not None}, shown)
