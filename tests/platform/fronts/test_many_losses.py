"""3,000 calls through two fronts, the active one of which is lost again and again."""

from __future__ import annotations

import pytest

from benchmarks.fronts import measure
from postgresql import PostgresServer

pytestmark = [pytest.mark.needs("postgres"), pytest.mark.slow]


def test_each_call_ends_once_however_often_the_active_front_is_lost(postgres_server: PostgresServer) -> None:
    report = measure(postgres_server.url("postgres").rpartition("/")[0], 3000, 8)

    assert report["failed"] == []
    assert (report["answered"], report["ended_once"], report["ended_twice"]) == (3000, 3000, 0)
    assert set(report["states"]) == {"succeeded"}
    assert len([loss for loss in report["each"] if loss["kind"] == "kill"]) >= 5
    assert report["gap_max_seconds"] < 15
