"""A data directory that is copied or moved: whose processes are ended, and which files its versions run on."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from bananastand.platform.store.identity import identity_of, settle
from real_platform import DOCKERFILE, POTASSIUM, RealPlatform

FILES = {"Dockerfile": DOCKERFILE, "app.py": POTASSIUM}


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_copy_that_is_started_leaves_the_originals_replicas_alone_and_runs_on_its_own_files(tmp_path: Path) -> None:
    with RealPlatform(tmp_path / "data") as original:
        built = original.deploy("app", FILES)
        assert built["state"] == "live", built["log"]
        original.http.patch("/stand/v1/projects/app", json={"min_replicas": 1}).raise_for_status()
        assert original.run("app", "out = 1") == 1
        before = original.replicas("app")
        shutil.copytree(original.data, tmp_path / "copy", symlinks=True)

        with RealPlatform(tmp_path / "copy") as copy:
            assert "its paths are mended" in copy.log
            assert copy.run("app", "open('/app/mark', 'w').write('x'); out = 2") == 2
            assert original.replicas("app")[0]["pid"] == before[0]["pid"]
            assert is_alive(before[0]["pid"])
            assert original.run("app", "import os; out = os.path.exists('/app/mark')") is False
            copy.http.delete("/stand/v1/projects/app").raise_for_status()
        assert original.run("app", "out = 3") == 3
        assert original.replicas("app")[0]["pid"] == before[0]["pid"]


def test_what_a_killed_platform_left_is_ended_by_the_next_one_also_where_the_directory_was_moved(
    tmp_path: Path,
) -> None:
    first = RealPlatform(tmp_path / "data")
    first.deploy("app", FILES)
    assert first.run("app", "out = 1") == 1
    (replica,) = first.replicas("app")
    first.kill()
    (tmp_path / "data").rename(tmp_path / "moved")

    with RealPlatform(tmp_path / "moved") as second:
        limit = time.monotonic() + 20
        while is_alive(replica["pid"]):
            assert time.monotonic() < limit, "it was not ended"
            time.sleep(0.1)
        assert second.run("app", "out = 2") == 2


def test_a_directory_keeps_its_identity_and_a_copy_gets_another(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    first = identity_of(folder)
    shutil.copytree(folder, tmp_path / "copy")

    copied = identity_of(tmp_path / "copy")
    assert identity_of(folder) == first
    assert copied.id != first.id
    assert copied.moved_from == str(folder)
    assert identity_of(tmp_path / "copy") == copied, "until its paths are mended"
    settle(tmp_path / "copy", copied)
    assert (identity_of(tmp_path / "copy").id, identity_of(tmp_path / "copy").moved_from) == (copied.id, None)
    folder.rename(tmp_path / "moved")
    assert (identity_of(tmp_path / "moved").id, identity_of(tmp_path / "moved").moved_from) == (first.id, str(folder))


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"id": "../x", "device": 1, "inode": 2}', "\0"])
def test_an_identity_that_cannot_be_read_is_made_anew(content: str, tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text(content)

    assert identity_of(tmp_path) == identity_of(tmp_path)
