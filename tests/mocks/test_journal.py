"""The journal of a world: what it stores, what it finds, and what it drops."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from bananastand_mocks.kernel.journal import Journal


def record(journal: Journal, path: str = "/", *, status: int = 200, answer: bytes = b"", **fields: Any) -> None:
    fields = {"query": {}, "headers": {}, **fields}
    journal.record(
        at=0.0, provider="zoo", operation="read", method="POST", path=path, status=status, answer=answer, **fields
    )


def test_the_oldest_calls_are_dropped_when_the_budget_is_spent() -> None:
    journal = Journal(budget=10_000)
    for number in range(20):
        record(journal, f"/{number}", answer=b"x" * 400, head_bytes=100)

    assert [entry.path for entry in journal] == ["/15", "/16", "/17", "/18", "/19"]


def test_a_very_long_body_is_left_out() -> None:
    journal = Journal()
    record(journal, body={"a": 1}, body_bytes=300_000)

    assert [entry.body for entry in journal] == ["[300000 bytes left out]"]


def test_a_long_body_reads_as_what_it_was() -> None:
    journal, body = Journal(), {"rows": [{}] * 1000}
    record(journal, body=body, body_bytes=3000)

    assert [entry.body for entry in journal] == [body]
    assert journal.verify(body=body).verified


def test_calls_are_counted_by_their_fields() -> None:
    journal = Journal()
    for status in (200, 200, 404):
        record(journal, status=status, body={"legs": 1}, body_bytes=10)

    assert journal.verify(status=200, exactly=2).verified
    assert journal.verify(status=404).verified
    assert journal.verify(at_least=2, at_most=3).verified
    assert not journal.verify(body={"legs": True}, at_least=1).verified
    assert len(journal.find(status=200)) == 2
    with pytest.raises(ValueError, match="calls have no colour"):
        journal.verify(colour="red")


def test_the_budget_holds_for_bodies_of_many_small_objects() -> None:
    journal = Journal(budget=2 * 2**20)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(4000):
        headers = {f"x-{n}": f"{number}-{n}" * 10 for n in range(8)}
        head_bytes = sum(len(name) + len(value) for name, value in headers.items())
        rows = [{} for _ in range(300)]
        record(journal, f"/{number}", answer=b"x" * 200, headers=headers, body={"rows": rows}, body_bytes=1000,
               head_bytes=head_bytes)  # fmt: skip
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert len(journal) > 100
    assert held < 2 * journal.budget


def test_delivery_attempts_are_listed_by_their_subject() -> None:
    journal = Journal()
    journal.record_delivery(10.0, "task", "http://127.0.0.1/", 500, "HTTP 500")
    journal.record_delivery(11.0, "other", "http://127.0.0.1/", 200, None)
    journal.record_delivery(15.0, "task", "http://127.0.0.1/", 200, None)

    assert journal.deliveries("task").waits == [0, 5]
    assert [attempt.status for attempt in journal.deliveries()] == [500, 200, 200]
    journal.clear()
    assert journal.deliveries("task").waits == []
