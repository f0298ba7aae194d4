"""Disk room is given back: failed builds, deleted projects, old versions and caches go; what is live stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.settings import Settings
from bananastand.platform.store.builds import Build, State
from bananastand.platform.store.disk_usage import parts_of, size_of
from bananastand.platform.store.retention import Expendable, Inventory, expendable, over_budget
from real_platform import PATHS
from stands import Up

DAY = 86_400.0


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("disk") / "data", settings={"failed_files": 0.0, "builds_kept": 1}) as running:
        yield running


def command(up: Up, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": PATHS, "BANANASTAND_DATA": str(up.data)}
    done = subprocess.run(
        [sys.executable, "-m", "bananastand", *words], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fill(folder: Path, size: int = 300_000) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.bin").write_bytes(b"x" * size)
    return folder


def test_a_dry_run_names_what_a_prune_removes_and_removes_nothing(up: Up) -> None:
    failed = up.deploy("one", "fails")
    assert failed["state"] == "failed"
    live = up.deploy("one")
    files = [fill(up.data / "builds" / deployed["id"] / "stage0") for deployed in (failed, live)]

    dry = command(up, "prune", "--dry-run")
    assert "failed build's files" in dry
    assert f"builds/{failed['id']}" in dry
    assert live["id"] not in dry
    assert "would be given back" in dry
    assert all(file.exists() for file in files)

    done = json.loads(command(up, "prune", "--json"))
    assert [item["path"] for item in done["removed"]] == [f"builds/{failed['id']}"]
    assert done["bytes"] >= 300_000
    assert [file.exists() for file in files] == [False, True]
    assert up.http.get(f"/stand/v1/builds/{failed['id']}/log").text.count("builds fails") == 1, "its log stays"
    assert up.http.post("/stand/v1/projects/one/call/", json={}).status_code == 200


def test_df_says_what_each_part_takes_and_what_could_be_given_back(up: Up) -> None:
    live = up.deploy("two")
    fill(up.data / "builds" / live["id"], 3 * 2**20)

    output = command(up, "df")
    disk = json.loads(command(up, "df", "--json"))

    assert "versions: sources and file trees" in output
    assert "cache: Python environments" in output
    sizes = {part["name"]: part["bytes"] for part in disk["parts"]}
    assert sizes["builds"] >= 3 * 2**20
    assert disk["total"] == sum(sizes.values())
    assert abs(disk["total"] - size_of(up.data)) < 2**20
    assert disk["free"] > 0


def test_a_deleted_project_leaves_neither_repository_nor_bodies_nor_logs(up: Up) -> None:
    build = up.deploy("three")
    repository = fill(up.data / "git" / "three.git")
    large = {"more": "x" * 200_000}
    assert up.http.post("/stand/v1/projects/three/call/", json=large).status_code == 200
    assert list((up.data / "bodies").glob("*")), "its answer has what was sent"
    up.http.delete("/stand/v1/projects/three").raise_for_status()

    assert not repository.exists()
    assert list((up.data / "bodies").glob("*")) == []
    assert not list((up.data / "logs").glob(f"*{build['id']}*"))
    assert not (up.data / "builds" / build["id"]).exists()


def test_versions_beyond_those_that_are_kept_go_and_the_last_can_still_be_gone_back_to(up: Up) -> None:
    first, second, third = (up.deploy("four") for _ in range(3))

    assert up.http.get(f"/stand/v1/builds/{first['id']}").status_code == 404
    assert up.http.post("/stand/v1/projects/four/rollback", json={}).json()["build_id"] == second["id"]
    assert third["id"] not in command(up, "prune", "--dry-run")


def build(id: str, state: State, *, project: str = "p", days: float = 0.0) -> Build:
    moment = time.time() - days * DAY
    return Build(id, 1, project, state, None, "s", None, {}, {}, 1, moment, moment, moment)


def known(*builds: Build, live: str = "", calls: tuple[str, ...] = (), idle: bool = True) -> Inventory:
    return Inventory(builds, frozenset({live}), {"p": "app"}, frozenset(calls), idle)


def names(items: list[Expendable], data: Path) -> dict[str, str]:
    return {str(item.path.relative_to(data)): item.kind for item in items}


def aged(path: Path, days: float) -> Path:
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))
    return path


def test_what_has_no_row_goes_once_it_is_older_than_what_may_get_one(tmp_path: Path) -> None:
    for place in ("bodies", "uploads", "logs", "modules"):
        (tmp_path / place).mkdir()
    old = ["bodies/gone.body", "bodies/.gone.answer.new", "uploads/gone.tar.gz", "uploads/x.part", "modules/gone.json",
           "logs/build-gone.ndjson", "logs/project-gone.ndjson.1"]  # fmt: skip
    retained = [
        "bodies/call.answer",
        "logs/build-b.ndjson",
        "logs/project-p.ndjson",
        "modules/b.json",
        "uploads/b.tar.gz",
    ]
    for name in (*old, *retained):
        (tmp_path / name).write_text("x")
        aged(tmp_path / name, 1)
    (tmp_path / "bodies" / "new.body").write_text("x")
    for name in ("gone.git", "app.git"):
        aged(fill(tmp_path / "git" / name), 1)
    aged(fill(tmp_path / "builds" / "gone"), 1)

    found = names(
        expendable(tmp_path, known(build("b", "queued"), live="b", calls=("call",)), Settings(tmp_path)), tmp_path
    )

    assert set(found) == {*old, "git/gone.git", "builds/gone"}


def test_failed_builds_are_kept_by_count_and_age_and_their_files_for_an_hour(tmp_path: Path) -> None:
    builds = [build(f"f{number}", "failed", days=number) for number in range(6)]
    for failed in builds:
        fill(tmp_path / "builds" / failed.id)
    settings = Settings(tmp_path, failed_kept=4, failed_age=3.5 * DAY)

    found = names(expendable(tmp_path, known(*builds), settings), tmp_path)

    assert found == {
        "builds/f1": "failed build's files", "builds/f2": "failed build's files", "builds/f3": "failed build's files",
        "builds/f4": "failed build", "builds/f5": "failed build",
    }  # fmt: skip


def test_caches_are_left_alone_while_a_build_is_at_work_and_where_a_version_uses_them(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    used, unused, recent = (fill(cache / "environments" / name) for name in ("used", "unused", "recent"))
    (tmp_path / "builds" / "b").mkdir(parents=True)
    (used / ".bananastand").write_text(f"{tmp_path}/builds/b\n")
    for folder in (unused, recent):
        (folder / ".bananastand").write_text(f"{tmp_path}/builds/gone\n")
    for folder in (used, unused):
        aged(folder / ".bananastand", 40)
    layer = fill(cache / "layers" / "old")
    (layer / "layer.json").write_text("{}")
    aged(layer / "layer.json", 40)
    settings = Settings(tmp_path)

    idle = names(expendable(tmp_path, known(build("b", "live"), live="b"), settings), tmp_path)
    busy = names(expendable(tmp_path, known(build("b", "building"), live="b", idle=False), settings), tmp_path)

    assert idle == {"cache/environments/unused": "environment", "cache/layers/old": "RUN result"}
    assert busy == {}


def test_beyond_its_budget_a_directory_gives_up_caches_then_old_versions_and_never_what_is_live(tmp_path: Path) -> None:
    builds = (build("live", "live"), build("newer", "live"), build("older", "live"))
    for version in builds:
        fill(tmp_path / "builds" / version.id, 2**20)
    fill(tmp_path / "cache" / "packages", 2**20)
    taken = sum(part.size for part in parts_of(tmp_path)[0])
    rows = known(*builds, live="live")

    def at(budget: int | None) -> list[str]:
        settings = Settings(tmp_path, disk_budget=budget)
        return list(names(over_budget(tmp_path, rows, settings, taken, []), tmp_path))

    assert at(None) == []
    assert at(taken) == []
    assert at(taken - 1) == ["cache/packages"]
    assert at(taken - 2**20 - 200_000) == ["cache/packages", "builds/older"]
    assert at(0) == ["cache/packages", "builds/older", "builds/newer"]


def test_a_link_counts_as_a_link_and_a_file_of_two_names_once(tmp_path: Path) -> None:
    first: Any = fill(tmp_path / "one", 2**20) / "weights.bin"
    (tmp_path / "two").mkdir()
    os.link(first, tmp_path / "two" / "weights.bin")
    (tmp_path / "two" / "link").symlink_to("/usr")

    assert 2**20 <= size_of(tmp_path) < 2**20 + 100_000
