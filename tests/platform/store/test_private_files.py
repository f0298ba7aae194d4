"""Nothing in a data directory can be read by group or others, whatever was done with it."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from bananastand.platform.store.database import STEPS, SqliteStore
from bananastand.platform.store.private_files import make_private, open_private, widen
from git_repositories import commit, push
from real_platform import DOCKERFILE, POTASSIUM, RealPlatform

FILES = {
    "Dockerfile": DOCKERFILE,
    "app.py": POTASSIUM,
    "requirements.txt": "",
    "bananastand.toml": '[build]\nbuilder = "process"\n',
}


def open_to_others(folder: Path) -> list[str]:
    """The files and folders that group or others may read, write or enter."""
    found = list[str]()
    for place, folders, names in os.walk(folder):
        for path in (Path(place), *(Path(place, name) for name in (*folders, *names))):
            about = path.lstat()
            if not stat.S_ISLNK(about.st_mode) and about.st_mode & 0o077:
                found.append(f"{oct(stat.S_IMODE(about.st_mode))} {path.relative_to(folder)}")
    return sorted(set(found))


def make_repository(folder: Path) -> Path:
    folder.mkdir(mode=0o755)
    for name, text in FILES.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
    commit(folder)
    return folder


@pytest.mark.needs("git")
def test_no_file_of_a_data_directory_is_open_to_others_after_every_kind_of_work(tmp_path: Path) -> None:
    data, repository = tmp_path / "data", make_repository(tmp_path / "repository")
    data.mkdir(mode=0o755)
    with RealPlatform(data, "--root", str(tmp_path)) as first:
        assert first.deploy("by-tar", FILES)["state"] == "live"
        assert first.deploy_source("by-url", f"file://{repository}")["state"] == "live"
        assert first.deploy_source("by-folder", str(repository))["state"] == "live"
        opens = DOCKERFILE + "RUN mkdir -m 777 /app/open && echo 1 > /app/open/file && chmod 666 /app/open/file\n"
        assert first.deploy("opens", {**FILES, "Dockerfile": opens})["state"] == "live"
        assert first.deploy("fails", {**FILES, "Dockerfile": opens + "RUN false\n"})["state"] == "failed"
        pushed = push(repository, first, "by-push").stderr
        assert "by-push is live" in pushed, pushed
        large = "x" * 200_000
        assert first.run("by-tar", f"out = len({large!r})") == 200_000
        answer = first.http.post("/stand/v1/projects/by-tar/call/background", json={})
        assert answer.status_code == 200
        first.http.delete("/stand/v1/projects/opens").raise_for_status()
        assert open_to_others(data) == []
    assert open_to_others(data) == []


def test_the_copy_before_an_upgrade_and_files_of_an_earlier_version_are_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "data" / "stand.sqlite"
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.execute("ALTER TABLE deployments DROP COLUMN takes")
    connection.close()
    older = path.with_name("stand.sqlite.version-0")
    older.write_bytes(b"")
    for file in (path, older):
        file.chmod(0o644)
    before = os.umask(0o022)
    try:
        SqliteStore(path).close()
    finally:
        os.umask(before)

    assert path.with_name("stand.sqlite.version-1").stat().st_size > 0, len(STEPS)
    assert open_to_others(path.parent) == []


def test_a_file_is_private_whatever_the_umask_is_and_one_that_was_open_is_closed(tmp_path: Path) -> None:
    existing = tmp_path / "there"
    existing.write_text("old")
    existing.chmod(0o664)
    before = os.umask(0)
    try:
        for path in (existing, tmp_path / "new"):
            with open(path, "w", opener=open_private) as file:
                file.write("secret")
    finally:
        os.umask(before)

    assert [stat.S_IMODE(path.stat().st_mode) for path in (existing, tmp_path / "new")] == [0o600, 0o600]


def test_a_link_out_of_a_folder_is_not_followed_when_the_folder_is_closed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.write_text("not ours")
    outside.chmod(0o644)
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "program").touch()
    (folder / "sub" / "program").chmod(0o755)
    (folder / "link").symlink_to(outside)

    make_private(folder)

    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert stat.S_IMODE((folder / "sub" / "program").stat().st_mode) == 0o700


def test_the_source_of_an_image_can_be_read_by_the_images_own_user(tmp_path: Path) -> None:
    """COPY keeps modes, and an image may run as another user than the one who built it."""
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True, mode=0o700)
    for name, mode in (("sub/app.py", 0o600), ("run.sh", 0o700)):
        (source / name).touch()
        (source / name).chmod(mode)

    widen(source)

    modes = {name: oct(stat.S_IMODE((source / name).stat().st_mode)) for name in ("sub", "sub/app.py", "run.sh")}
    assert modes == {"sub": "0o755", "sub/app.py": "0o644", "run.sh": "0o755"}
