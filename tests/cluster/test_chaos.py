"""Every part of a cluster is killed, frozen or cut off under load, over HTTP: what was acknowledged is kept.

RESULTS=benchmarks/results in the environment has the reports written there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_chaos import KINDS, Report, survive, write
from postgresql import PostgresServer

POINTS = int(os.environ.get("CHAOS_POINTS", "48"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, because Ray makes sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="bs-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def check(report: Report, points: int) -> None:
    assert report.points.total() == points
    assert set(report.points) == set(KINDS)
    assert report.acknowledged > 10 * points
    assert (report.lost, report.wrong, report.two_ends) == (0, 0, 0)
    assert report.failed <= report.acknowledged // 50


@pytest.mark.slow
def test_what_was_acknowledged_survives_harm_to_every_part_of_a_cluster(folder: Path) -> None:
    report = survive(folder, 1, POINTS)

    check(report, POINTS)
    if results := os.environ.get("RESULTS"):
        write(report, Path(results) / "chaos.json", "SQLite")


@pytest.mark.slow
@pytest.mark.needs("postgres")
def test_what_was_acknowledged_survives_harm_with_its_rows_in_postgresql(
    folder: Path, postgres_server: PostgresServer
) -> None:
    with postgres_server.database() as url:
        report = survive(folder, 2, POINTS, url)

    check(report, POINTS)
    if results := os.environ.get("RESULTS"):
        write(report, Path(results) / "chaos.json", "PostgreSQL 15")
