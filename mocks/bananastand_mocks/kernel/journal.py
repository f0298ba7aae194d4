"""The calls of a world and their responses, without secrets, in a ring buffer of a fixed number of bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bananastand.contracts.json_body import dump

from .deliveries import Deliveries, DeliveryAttempt
from .journal_entry import JournalEntry
from .mismatches import NEAREST, Mismatch, check_fields, explain_near_misses, mismatches

__all__ = ["BUDGET", "Journal", "Verdict"]

BUDGET = 16 * 2**20  # bytes of memory that a world's journal may hold
LONGEST_BODY = 256 * 2**10  # bytes; a longer one is left out
PACKED_FROM = 256  # bytes; a longer body is stored as JSON, because objects take up to twenty times its length
OBJECT_FACTOR = 8  # bytes of memory for a byte of a body that is stored as objects, about
OVERHEAD = 1500  # bytes of memory that an entry takes beside what the client sent, about
MAX_DELIVERIES = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether as many calls matched as were expected.

    Attributes:
        verified: Whether they did.
        matched: How many calls matched.
        expected: The numbers that were expected, by `exactly`, `at_least` and `at_most`.
        near_misses: If not, the calls with the fewest mismatches.
    """

    verified: bool
    matched: int
    expected: Mapping[str, int]
    near_misses: list[tuple[JournalEntry, list[Mismatch]]]

    def explain(self) -> str:
        """Return the verdict in words, for an assertion."""
        first = f"expected {dict(self.expected)} calls, found {self.matched}"
        return "\n".join([first, *explain_near_misses(self.near_misses)])


class Journal:
    """The calls of one world, newest last.

    Args:
        budget: Bytes of memory that it may hold; with 0 it stores no calls.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self._entries: deque[tuple[int, JournalEntry]] = deque()
        self._bytes = 0
        self._count = 0
        self._deliveries: deque[DeliveryAttempt] = deque(maxlen=MAX_DELIVERIES)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[JournalEntry]:
        return (entry for _, entry in list(self._entries))

    def record(
        self,
        *,
        at: float,
        provider: str,
        operation: str | None,
        method: str,
        path: str,
        status: int,
        answer: bytes,
        query: Mapping[str, Any],
        headers: Mapping[str, str],
        body: Any = None,
        body_bytes: int = 0,
        head_bytes: int = 0,
        faults: tuple[str, ...] = (),
        stub: int | None = None,
    ) -> None:
        """Store one call, and drop the oldest where the budget is spent. Everything must be without secrets.

        `body_bytes` is the length of the request's body, `head_bytes` that of path, query and headers; the other
        arguments are the attributes of `JournalEntry`.
        """
        if not self.budget:
            return
        self._count += 1
        if body_bytes > LONGEST_BODY:
            body, body_bytes = f"[{body_bytes} bytes left out]", 40
        if len(answer) > LONGEST_BODY:
            answer = b"[%d bytes left out]" % len(answer)
        if body_bytes > PACKED_FROM:
            body = dump(body)
        else:
            body_bytes *= OBJECT_FACTOR
        size = OVERHEAD + head_bytes + body_bytes + len(answer)
        entry = JournalEntry(
            self._count, at, provider, operation, method, path, query, headers, body, status, answer, faults, stub
        )
        self._entries.append((size, entry))
        self._bytes += size
        while self._bytes > self.budget:
            self._bytes -= self._entries.popleft()[0]

    def record_delivery(self, at: float, subject: str, url: str, status: int | None, error: str | None) -> None:
        """Store an attempt to deliver a message; the arguments are the attributes of `DeliveryAttempt`."""
        self._deliveries.append(DeliveryAttempt(at, subject, url, status, error))

    def deliveries(self, subject: str | None = None) -> Deliveries:
        """Return the attempts to deliver the messages about a subject, or all of them."""
        return Deliveries(attempt for attempt in list(self._deliveries) if subject in (None, attempt.subject))

    def clear(self) -> None:
        """Drop all calls and deliveries, and count from 1 again."""
        self._entries.clear()
        self._deliveries.clear()
        self._bytes = self._count = 0

    def find(self, **expected: Any) -> list[JournalEntry]:
        """Return the calls whose fields match.

        Args:
            expected: provider, operation, method, path and status as they are; query, headers and body in part.

        Raises:
            ValueError: Calls have no such field.
        """
        check_fields(expected)
        return [entry for entry in self if not mismatches(expected, entry)]

    def verify(
        self, *, exactly: int | None = None, at_least: int | None = None, at_most: int | None = None, **expected: Any
    ) -> Verdict:
        """Return whether as many calls matched as expected; exactly one if no number is given.

        Args:
            exactly: How many calls must match.
            at_least: How many calls must match at least.
            at_most: How many calls may match.
            expected: As in `find`.

        Raises:
            ValueError: Calls have no such field.
        """
        check_fields(expected)
        if exactly is None and at_least is None and at_most is None:
            exactly = 1
        compared = [(entry, mismatches(expected, entry)) for entry in self]
        matched = sum(1 for _, found in compared if not found)
        verified = (
            (exactly is None or matched == exactly)
            and (at_least is None or matched >= at_least)
            and (at_most is None or matched <= at_most)
        )
        missed = sorted((pair for pair in compared if pair[1]), key=lambda pair: len(pair[1]))
        numbers = {"exactly": exactly, "at_least": at_least, "at_most": at_most}
        numbers_given = {name: number for name, number in numbers.items() if number is not None}
        return Verdict(verified, matched, numbers_given, [] if verified else missed[:NEAREST])
