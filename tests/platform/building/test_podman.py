"""Replicas in containers of podman, for real: built, published on ports of their own, limited, and tidied up."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bananastand.platform.building.builder import source_builder
from bananastand.platform.building.containers import container
from bananastand.platform.platform import Platform
from bananastand.platform.replicas.container_forwarder import ContainerForwarder
from bananastand.platform.settings import Settings
from images import BASE, real
from paths import PATHS
from stands import APP, QUICK, until

DOCKERFILE = """FROM python:3.12
COPY replica_app.py .
ENV VERSION=7
EXPOSE 8000
CMD ["python3", "-u", "replica_app.py"]
"""
# A machine may forbid what the engine would set by itself: limits above its own, namespaces of control groups.
CONF = """[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
{runtime}
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
"""


def podman(*arguments: str) -> str:
    return subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture
def source(base: str, tmp_path: Path) -> Iterator[Path]:
    """A folder that builds to a small app, and podman as the only engine."""
    folder = tmp_path / "app"
    folder.mkdir()
    shutil.copy(APP, folder)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "stand.toml").write_text(f'[images]\n"python:*" = "{BASE}"\n')
    runtime = 'runtime = "runc"' if shutil.which("runc") else ""
    (tmp_path / "containers.conf").write_text(CONF.format(runtime=runtime))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))
        patch.setattr(container, "ENGINES", ("podman",))
        yield folder


def stand_at(data: Path, root: Path, **settings: object) -> Platform:
    return Platform(Settings(data=data, **{**QUICK, "start_timeout": 60.0, **settings}), source_builder(data, (root,)))  # type: ignore[arg-type]


async def live(stand: Platform, source: Path) -> None:
    build = stand.deploy("app", str(source), builder="container", secrets={"TOKEN": "hush-hush"})
    await until(lambda: stand.builds.get(build.id).state in ("live", "failed"), 300)
    assert stand.builds.get(build.id).state == "live", stand.builds.get(build.id).error


def never_close(data: str, source: str) -> None:
    """A stand with one container at work, in a process that is there to be killed. Prints the stand's id."""

    async def scene() -> None:
        stand = stand_at(Path(data), Path(data))
        await stand.start()
        await live(stand, Path(source))
        await (await stand.submit(stand.projects.named("app"), "/", b"{}")).outcome(60)
        sys.stdout.write(f"{stand.store.id}\n")
        sys.stdout.flush()
        await asyncio.sleep(600)

    container.ENGINES = ("podman",)
    asyncio.run(scene())


@real
@pytest.mark.needs("podman", "catatonit", "iptables")
async def test_a_stand_runs_replicas_in_containers_of_podman(source: Path, tmp_path: Path) -> None:
    stand = stand_at(tmp_path, tmp_path, memory_mb=300)
    try:
        await stand.start()
        await live(stand, source)
        project = stand.projects.change(stand.projects.named("app"), {"max_replicas": 2, "idle_timeout": 1})
        mark = f"label=bananastand={stand.store.id}"

        calls = [await stand.submit(project, "/", b'{"seconds": 0.5}') for _ in range(8)]
        answers = [json.loads((await call.outcome(60)).body) for call in calls]  # type: ignore[union-attr]
        assert [answer["version"] for answer in answers] == ["7"] * 8
        running = podman("ps", "--quiet", "--filter", mark).split()
        container = json.loads(podman("inspect", running[0]))[0]
        assert container["HostConfig"]["Memory"] == 300 * 2**20
        assert container["HostConfig"]["PortBindings"]["8000/tcp"][0]["HostIp"] == "127.0.0.1"
        line = " ".join(psutil.Process(stand.pool.of_project(project.id)[0].pid or 0).cmdline())
        assert "hush-hush" not in line
        assert "a line of the app, ***" in [row["line"] for row in stand.log_of(project).lines()]

        await until(lambda: not stand.pool.of_project(project.id), 60)
        assert podman("ps", "--all", "--quiet", "--filter", mark) == ""
    finally:
        await stand.close(5.0)


@real
@pytest.mark.needs("podman", "catatonit", "iptables")
@pytest.mark.parametrize("may_enter", [True, False], ids=["its network is entered", "in the container"])
async def test_an_app_on_loopback_of_its_container_is_reached(
    may_enter: bool, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "Dockerfile").write_text(
        'FROM python:3.12\nEXPOSE 8000\nCMD ["python3", "-m", "http.server", "--bind", "127.0.0.1", "8000"]\n'
    )
    if not may_enter:

        async def no_pid(self: ContainerForwarder) -> None: ...

        monkeypatch.setattr(ContainerForwarder, "_find_pid", no_pid)

    stand = stand_at(tmp_path, tmp_path)
    try:
        await stand.start()
        await live(stand, source)
        call = await stand.submit(stand.projects.named("app"), "/", b"", method="GET")
        assert b"Directory listing" in (await call.outcome(60)).body  # type: ignore[union-attr]
    finally:
        await stand.close(5.0)


@real
@pytest.mark.needs("podman", "catatonit", "iptables")
async def test_containers_that_a_killed_supervisor_left_are_removed(source: Path, tmp_path: Path) -> None:
    code = "import sys; from tests.platform.building.test_podman import never_close; never_close(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(tmp_path), str(source)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": PATHS}) as first:
        assert first.stdout is not None
        mark = f"label=bananastand={first.stdout.readline().strip()}"
        assert podman("ps", "--quiet", "--filter", mark)
        first.send_signal(signal.SIGKILL)

    stand = stand_at(tmp_path, tmp_path)
    await stand.start()
    await stand.close(5.0)
    ends = time.monotonic() + 10
    while podman("ps", "--all", "--quiet", "--filter", mark) and time.monotonic() < ends:
        time.sleep(0.2)
    assert podman("ps", "--all", "--quiet", "--filter", mark) == ""
