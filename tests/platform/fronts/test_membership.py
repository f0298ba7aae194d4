"""What a front does with its database: versions that do not fit, a server that is gone for a while, a frozen one."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from postgresql import PostgresServer
from several_fronts import FrontProcess, Fronts, wait_for

pytestmark = pytest.mark.needs("postgres")
CALL = "/stand/v1/projects/app/call/"


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server that these tests stop."""
    with tempfile.TemporaryDirectory(prefix="postgres-", dir="/tmp") as folder:
        running = PostgresServer(Path(folder))
        running.start()
        yield running
        running.stop()


@pytest.fixture(scope="module")
def fronts(own_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    with own_server.database() as url:
        running = Fronts(tmp_path_factory.mktemp("fronts"), url)
        try:
            running.deploy(running.all[0])
            yield running
        finally:
            running.close()


def epoch(fronts: Fronts) -> int:
    with psycopg.connect(fronts.database) as connection:
        return int(connection.execute("SELECT epoch FROM active_front").fetchall()[0][0])


def works(front: FrontProcess) -> bool:
    return front.http.post(CALL, json={"n": 1}).status_code == 200


def test_fronts_outlive_a_restart_of_the_database_with_the_same_one_active(
    fronts: Fronts, own_server: PostgresServer
) -> None:
    active, standby = fronts.pair()
    before = epoch(fronts)
    assert works(standby)
    (replica,) = active.http.get("/stand/v1/projects/app/replicas").json()["replicas"]

    own_server.stop(signal.SIGQUIT)
    wait_for(lambda: active.health()["database"] != "connected" and standby.health()["database"] != "connected")
    assert active.http.get("/healthz").status_code == 503
    refused = standby.http.post(CALL, json={"n": 1})
    own_server.start()

    assert refused.status_code == 503
    assert "the database" in refused.json()["error"]["message"]
    wait_for(lambda: active.health()["database"] == "connected" and works(standby))
    assert epoch(fronts) == before
    assert [row["id"] for row in active.http.get("/stand/v1/projects/app/replicas").json()["replicas"]] == [
        replica["id"]
    ]


def test_a_front_of_another_schema_is_refused(fronts: Fronts, tmp_path: Path) -> None:
    fronts.pair()
    with psycopg.connect(fronts.database, autocommit=True) as connection:
        connection.execute("UPDATE fronts SET schema_version = schema_version + 1, version = '9.9'")
        other = FrontProcess(tmp_path / "data", fronts.database)
        status = other.ended()
        connection.execute("UPDATE fronts SET schema_version = schema_version - 1, version = '1'")

    assert status == 1
    assert "runs version 9.9 with schema" in other.log
    assert "upgrade them" in other.log


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    front = FrontProcess(tmp_path / "data", "postgresql://stand:hush-hush@127.0.0.1:1/none")

    assert front.ended() == 1
    assert "the database cannot be reached" in front.log
    assert "hush-hush" not in front.log


def test_two_fronts_do_not_share_a_data_directory(fronts: Fronts) -> None:
    other = FrontProcess(fronts.pair()[1].data, fronts.database)

    assert other.ended() == 1
    assert "take another folder" in other.log


def test_a_standby_answers_at_once_while_nobody_is_active_and_serves_then(fronts: Fronts) -> None:
    active, standby = fronts.pair()
    began = time.monotonic()
    active.kill()

    assert standby.http.get("/healthz").json()["alive"] is True
    assert time.monotonic() - began < 2
    assert works(standby)
