"""Which engine is chosen: one that is installed and cannot run a container does not become the default."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from bananastand.platform.building import BuildSettings, build
from bananastand.platform.building.containers.engines import (
    CONTAINERS,
    ENGINES,
    ContainerEngine,
    EngineSearch,
    find_engine,
)
from bananastand.platform.launch import Launch
from bananastand.platform.replicas.start_command import make_start_command

WORKS = "#!/bin/sh\nexit 0\n"
RUNS_NOTHING = """#!/bin/sh
case "$1" in
    run) echo 'Error: crun: cgroups in hybrid mode not supported: OCI runtime error' >&2; exit 126 ;;
esac
"""
BUILDS_NOTHING = """#!/bin/sh
case "$1" in
    build) printf '%s\\n' 'STEP 3/4: RUN ["/works"]' 'error running container: cgroups are not there' \\
        'Error: building at STEP "RUN /works": while running runtime: exit status 1' >&2; exit 125 ;;
esac
"""
ONLY_CHROOT = """#!/bin/sh
case "$1 $*" in
    "build "*"--isolation chroot"*) exit 0 ;;
    "build "*) echo 'error running container' >&2; exit 1 ;;
esac
"""
NO_HOST_NETWORK = """#!/bin/sh
case "$1 $*" in
    "build "*"--network host"*) echo 'ERROR: granting entitlement network.host is not allowed' >&2; exit 1 ;;
esac
"""
RUNS_THE_PROGRAM = """#!/bin/sh
[ "$1" = build ] || exit 0
for folder; do :; done
"$folder/works"
status=$?
echo $status > "$(dirname "$0")/ran"
exit $status
"""
COUNTS = '#!/bin/sh\n[ "$1" = build ] && echo tried >> "$(dirname "$0")/tries"\nexit 0\n'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with no engine but those that a test writes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "printf", "dirname"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def write(folder: Path, **scripts: str) -> None:
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def found(names: tuple[str, ...], notes: Path) -> EngineSearch:
    return asyncio.run(find_engine(names, notes))


def test_an_engine_that_cannot_run_a_container_is_passed_over_with_its_reason(programs: Path, tmp_path: Path) -> None:
    write(programs, docker="#!/bin/sh\nexit 1\n", podman=RUNS_NOTHING)

    result = found(CONTAINERS, tmp_path / "notes")

    assert result.engine is None
    assert str(result) == (
        "docker is installed, but it does not answer: `docker info` says why; podman is installed, but it cannot run "
        "a container: Error: crun: cgroups in hybrid mode not supported: OCI runtime error"
    )


def test_a_build_without_a_working_engine_uses_a_process_and_logs_why(programs: Path, tmp_path: Path) -> None:
    write(programs, podman=BUILDS_NOTHING)
    source, lines = tmp_path / "source", list[str]()
    source.mkdir()
    (source / "app.py").write_text("print(1)\n")
    (source / "Dockerfile").write_text('FROM python:3\nCOPY . .\nCMD ["python3", "app.py"]\n')
    settings = BuildSettings(cache=tmp_path / "cache")

    launch = asyncio.run(build(source, settings=settings, folder=tmp_path / "build", log=lines.append))

    assert launch.kind == "process"
    assert [line for line in lines if line.startswith("builder: ")] == [
        "builder: process (neither docker nor podman works here: podman is installed, but it cannot build an image: "
        "error running container: cgroups are not there; --builder container says why, and builds with buildah)"
    ]


def test_the_next_engine_is_taken_where_the_first_does_not_work(programs: Path, tmp_path: Path) -> None:
    write(programs, docker=RUNS_NOTHING, podman=WORKS)

    result = found(CONTAINERS, tmp_path / "notes")

    assert result.engine == ContainerEngine("podman")
    assert list(result.problems) == ["docker"]


def test_buildah_uses_chroot_where_its_default_isolation_fails(programs: Path, tmp_path: Path) -> None:
    write(programs, buildah=ONLY_CHROOT)

    engine = found(ENGINES, tmp_path / "notes").engine

    assert engine == ContainerEngine("buildah", "chroot")
    assert engine.options == ("--isolation", "chroot")


def test_an_engine_that_refuses_the_machines_network_builds_without_it(programs: Path, tmp_path: Path) -> None:
    write(programs, docker=NO_HOST_NETWORK)

    assert found(CONTAINERS, tmp_path / "notes").engine == ContainerEngine("docker", host_network=False)


def test_a_working_engine_is_tried_once_a_day(programs: Path, tmp_path: Path) -> None:
    write(programs, podman=COUNTS)

    for _ in range(3):
        assert found(CONTAINERS, tmp_path / "notes").engine == ContainerEngine("podman")

    assert (programs / "tries").read_text().count("tried") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the program is of Linux")
def test_the_program_of_the_trial_image_ends_with_status_0(programs: Path, tmp_path: Path) -> None:
    write(programs, podman=RUNS_THE_PROGRAM)

    assert found(CONTAINERS, tmp_path / "notes").engine == ContainerEngine("podman")
    assert (programs / "ran").read_text() == "0\n"


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_an_images_entrypoint_is_started_once(engine: str) -> None:
    """Words behind the image are arguments of its ENTRYPOINT."""
    command = ("./entrypoint.sh", "--port", "8000")
    launch = Launch("container", command, "/app", image="an/image", engine=engine)

    start = make_start_command(launch, platform="tests", replica="one", port=9000)

    assert start.command[-5:] == ("--entrypoint", "./entrypoint.sh", "an/image", "--port", "8000")


def test_a_container_of_its_own_network_is_given_no_address_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:8080")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    launch = Launch("container", ("x",), "/", {"HF_HUB_OFFLINE": "0"}, image="an/image", engine="docker")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    environment = make_start_command(launch, platform="tests", replica="one", port=9000).environment
    words = make_start_command(launch, platform="tests", replica="one", port=9000).command

    assert "HTTPS_PROXY" in words
    assert "HF_ENDPOINT" not in words
    assert environment["HF_HUB_OFFLINE"] == "0", "what the image sets comes first"
