"""Backups of a platform that runs, their restoration elsewhere, and databases that have lost what was written."""

from __future__ import annotations

import base64
import shutil
import stat
import tarfile
import time
from pathlib import Path

import pytest

from bananastand.platform.errors import Conflict, Refused
from bananastand.platform.store.backup import back_up, restore
from bananastand.platform.store.database import SqliteStore
from bananastand.platform.store.database_guard import check_database, note_start, note_stop
from real_platform import DOCKERFILE, POTASSIUM, RealPlatform

FILES = {"Dockerfile": DOCKERFILE, "app.py": POTASSIUM}
LARGE = "x" * 200_000


def start(running: RealPlatform, code: str) -> str:
    key = running.http.get("/stand/v1/projects/app").json()["model_key"]
    body = {"apiKey": running.key, "modelKey": key, "modelInputs": {"code": code, "more": LARGE}, "startOnly": True}
    return running.http.post("/banana/start/v4", json=body).json()["callID"]


def check(running: RealPlatform, call: str) -> object:
    body = {"apiKey": running.key, "callID": call, "longPoll": True}
    limit = time.monotonic() + 90
    while True:
        answer = running.http.post("/banana/check/v4", json=body).json()
        if "modelOutputs" in answer and answer["modelOutputs"]:
            return answer["modelOutputs"][0]["out"]
        assert time.monotonic() < limit, answer


def test_a_backup_of_a_running_platform_is_restored_into_a_fresh_directory(tmp_path: Path) -> None:
    file = tmp_path / "backup.tar.gz"
    with RealPlatform(tmp_path / "data") as first:
        first.deploy("app", FILES, secrets={"TOKEN": "kept"}, environment={"VERSION": "7"})
        done = start(first, f"out = {LARGE!r}")
        assert check(first, done) == LARGE
        slow = start(first, "import time; time.sleep(3); out = 'slow'")
        assert "backup.tar.gz" in first.command("backup", str(file))
        assert first.run("app", "out = 1") == 1, "it goes on meanwhile"
    shutil.rmtree(tmp_path / "data")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    assert "restored the backup of" in first.command("restore", str(file), "--data", str(tmp_path / "fresh"))
    with RealPlatform(tmp_path / "fresh") as second:
        assert "app has lost its files and is built again" in second.log
        assert second.key == first.key
        assert second.run("app", "import os; out = [os.environ['TOKEN'], os.environ['VERSION']]") == ["kept", "7"]
        assert check(second, done) == LARGE, "an end that was recorded is given again"
        assert check(second, slow) == "slow", "what was not over is taken up"
    assert "has lost its files" not in second.log[second.log.index("built again") :]
    with RealPlatform(tmp_path / "fresh") as third:
        assert "built again" not in third.log


@pytest.mark.parametrize("loss", ["database", "emptied", "wal", "older"])
def test_a_database_that_has_lost_its_writes_is_refused_and_no_body_is_swept(loss: str, tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "backup.tar.gz"
    first = RealPlatform(data)
    first.deploy("app", FILES)
    old = data.with_name("older.sqlite")
    shutil.copy(data / "stand.sqlite", old)  # without the WAL, where all of it is as yet
    assert check(first, start(first, f"out = {LARGE!r}")) == LARGE
    first.command("backup", str(file))
    first.kill()
    bodies = sorted(file.name for file in (data / "bodies").iterdir())
    assert bodies
    if loss == "database":
        (data / "stand.sqlite").unlink()
    elif loss == "emptied":
        (data / "stand.sqlite").write_bytes(b"")
        (data / "stand.sqlite-wal").unlink()
    elif loss == "wal":
        (data / "stand.sqlite-wal").unlink()
    else:
        shutil.copy(old, data / "stand.sqlite")
        (data / "stand.sqlite-wal").write_bytes(b"")

    with pytest.raises(AssertionError, match="Nothing is changed. Restore a backup: bananastand restore FILE --data"):
        RealPlatform(data)
    assert sorted(file.name for file in (data / "bodies").iterdir()) == bodies
    assert "what was left is in" in first.command("restore", str(file))
    with RealPlatform(data) as again:
        assert again.run("app", "out = 2") == 2


def test_a_platform_that_was_killed_starts_again_without_a_word(tmp_path: Path) -> None:
    first = RealPlatform(tmp_path / "data")
    first.kill()
    second = RealPlatform(tmp_path / "data")
    second.kill()

    with RealPlatform(tmp_path / "data") as third:
        assert third.key == first.key


def test_a_directory_of_an_earlier_version_and_a_new_one_are_not_refused(tmp_path: Path) -> None:
    check_database(tmp_path)
    SqliteStore(tmp_path / "stand.sqlite").close()
    check_database(tmp_path)
    note_start(tmp_path)
    note_stop(tmp_path)
    check_database(tmp_path)


def test_a_restore_never_writes_over_a_database_that_is_whole(tmp_path: Path) -> None:
    for name in ("one", "two"):
        SqliteStore(tmp_path / name / "stand.sqlite").close()
    back_up(tmp_path / "one", tmp_path / "file.tar.gz")

    with pytest.raises(Conflict, match="has a database that is whole"):
        restore(tmp_path / "file.tar.gz", tmp_path / "two")
    with pytest.raises(Conflict, match="is there already"):
        back_up(tmp_path / "one", tmp_path / "file.tar.gz")
    with pytest.raises(Refused, match="has no database"):
        back_up(tmp_path / "three", tmp_path / "other.tar.gz")


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\x1f\x8b"])
def test_a_file_that_is_no_backup_is_refused_and_changes_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(Refused, match="is no backup that can be restored"):
        restore(tmp_path / "file", tmp_path / "data")
    assert not (tmp_path / "data" / "stand.sqlite").exists()


@pytest.mark.parametrize("name", ["../outside", "/outside", "builds/../../outside"])
def test_a_backup_whose_names_lead_out_is_refused(name: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "file", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name))

    with pytest.raises(Refused, match="leads out of it"):
        restore(tmp_path / "file", tmp_path / "data")
    assert not (tmp_path / "outside").exists()


def test_a_damaged_database_in_a_backup_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "one" / "stand.sqlite").close()
    back_up(tmp_path / "one", tmp_path / "good.tar.gz")
    folder = tmp_path / "unpacked"
    with tarfile.open(tmp_path / "good.tar.gz") as tar:
        tar.extractall(folder)
    content = bytearray((folder / "stand.sqlite").read_bytes())
    content[200:3000] = base64.b64decode("AAAA") * 933
    (folder / "stand.sqlite").write_bytes(content)
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as tar:
        tar.add(folder, arcname=".")

    with pytest.raises(Refused, match="is no backup that can be restored"):
        restore(tmp_path / "bad.tar.gz", tmp_path / "data")
