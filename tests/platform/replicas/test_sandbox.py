"""A build's file tree as the root of what runs: its paths, the machine's programs, signals and file descriptors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.replicas.bind_mounts import create_mount_points, is_placeholder, system_mounts
from bananastand.platform.replicas.sandbox import sandbox_command, sandbox_problem

pytestmark = pytest.mark.needs("bwrap")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with an app's folder. Skips where the machine allows no mount namespace."""
    if sandbox_problem() is not None:
        pytest.skip(str(sandbox_problem()))
    folder = tmp_path / "build" / "root"
    (folder / "app").mkdir(parents=True)
    return folder


def run(root: Path, *command: str, workdir: str = "/app", **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **options.pop("environment", {})}
    sandbox = sandbox_command(command, root=str(root), workdir=workdir, environment=environment, **options)
    return subprocess.run(sandbox.command, cwd="/", env=sandbox.environment, capture_output=True, text=True, timeout=60)


def python(root: Path, code: str, **options: Any) -> str:
    done = run(root, sys.executable, "-c", code, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_app_finds_its_files_where_the_image_had_them(root: Path) -> None:
    (root / "weights.txt").write_text("w")
    (root / "app" / "app.py").touch()

    output = python(root, "import os; print(os.getcwd(), open('/weights.txt').read(), os.listdir('/app'))")

    assert output == "/app w ['app.py']"


@pytest.mark.parametrize(
    "path", ["/new.txt", "/root/.cache/torch/x", "/opt/w/x", "/data/x", "/var/log/x", "/tmp/written-by-a-sandboxed-app"]
)
def test_what_an_app_writes_stays_in_the_build(path: str, root: Path) -> None:
    python(root, f"import os; p = {path!r}; os.makedirs(os.path.dirname(p), exist_ok=True); open(p, 'w').write('1')")

    assert (root / path.lstrip("/")).read_text() == "1"
    assert python(root, f"print(open({path!r}).read())") == "1"
    assert not Path(path).exists()


def test_home_is_the_images_and_the_users_own_is_not_seen(root: Path) -> None:
    (root / "home" / "me").mkdir(parents=True)

    assert (
        python(root, "import os; print(os.path.expanduser('~'), os.listdir(os.path.expanduser('~')))")[:6] == "/root "
    )
    assert python(root, "import os; print(os.environ['HOME'])", environment={"HOME": f"{root}/home/me"}) == "/home/me"


def test_paths_of_the_tree_in_variables_are_the_images(root: Path) -> None:
    sandbox = sandbox_command(
        ("python3", f"{root}/app/x.py"), root=str(root), workdir=f"{root}/app",
        environment={"HF_HOME": f"{root}/opt/hf", "PATH": f"{root}/app/bin:/usr/bin", "URL": "http://a/b",
                     "ROOTED": str(root)},
    )  # fmt: skip

    assert sandbox.environment["HF_HOME"] == "/opt/hf"
    assert sandbox.environment["PATH"] == "/app/bin:/usr/bin"
    assert sandbox.environment["URL"] == "http://a/b"
    assert sandbox.environment["ROOTED"] == "/"
    assert sandbox.workdir == "/app"
    assert sandbox.command[-2:] == ("python3", "/app/x.py")


def test_the_machines_programs_libraries_and_network_are_there(root: Path) -> None:
    code = (
        "import socket, ssl, subprocess; s = socket.create_server(('127.0.0.1', 0)); "
        "print(subprocess.run(['sh', '-c', 'echo $((6*7))'], capture_output=True, text=True).stdout.strip(), "
        "open('/etc/hosts').readline() != '', bool(ssl.create_default_context()), s.getsockname()[0])"
    )

    assert python(root, code) == "42 True True 127.0.0.1"


def test_system_folders_cannot_be_changed_unless_a_line_writes_there(root: Path) -> None:
    assert "Read-only file system" in run(root, "sh", "-c", "echo 1 > /etc/mine").stderr
    assert run(root, "sh", "-c", "echo 1 > /etc/mine", writable=["/etc/mine"]).returncode == 0
    assert not Path("/etc/mine").exists()
    assert run(root, "sh", "-c", "cat /etc/mine; head -c1 /etc/passwd").stdout == "1\nr"


def test_programs_of_the_build_lie_beside_the_machines(root: Path) -> None:
    for folder in ("usr/bin", "usr/local/bin"):
        tool = root / folder / f"tool-{folder.count('/')}"
        tool.parent.mkdir(parents=True)
        tool.write_text("#!/bin/sh\necho mine\n")
        tool.chmod(0o755)

    assert run(
        root, "sh", "-c", "tool-1; /usr/local/bin/tool-2; ls /usr/bin/env", environment={"PATH": "/usr/bin:/bin"}
    ).stdout == ("mine\nmine\n/usr/bin/env\n")


def test_a_file_of_the_build_wins_over_the_machines(root: Path) -> None:
    (root / "etc").mkdir()
    (root / "etc" / "hostname").write_text("banana\n")

    assert python(root, "print(open('/etc/hostname').read())") == "banana"
    assert python(root, "print(len(open('/etc/passwd').read()) > 0)") == "True"


def test_folders_of_the_machine_that_are_named_are_there(root: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m").write_text("m")
    (tmp_path / "cache").mkdir()

    assert (
        python(root, f"print(open('{tmp_path}/models/m').read())", environment={"MODEL": f"{tmp_path}/models"}) == "m"
    )
    python(root, f"open('{tmp_path}/cache/x', 'w').write('1')", visible=[str(tmp_path / "cache")])
    assert (tmp_path / "cache" / "x").read_text() == "1"
    done = run(root, sys.executable, "-c", f"open('{tmp_path}/models/m')", environment={"MODEL": "x"})
    assert "FileNotFoundError" in done.stderr


def test_file_descriptors_and_the_exit_status_come_through(root: Path) -> None:
    reader, writer = os.pipe()
    code = f"import os; os.write({writer}, b'hello'); raise SystemExit(9)"
    sandbox = sandbox_command((sys.executable, "-c", code), root=str(root), workdir="/", environment=dict(os.environ))
    done = subprocess.run(sandbox.command, env=sandbox.environment, pass_fds=(writer,), timeout=60, check=False)
    os.close(writer)

    assert os.read(reader, 10) == b"hello"
    assert done.returncode == 9
    os.close(reader)


def test_a_sigterm_to_the_group_lets_the_app_drain(root: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "def drain(*_): time.sleep(0.5); print('drained', flush=True); sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, drain); print('ready', flush=True); time.sleep(60)\n"
    )
    sandbox = sandbox_command((sys.executable, "-c", code), root=str(root), workdir="/", environment=dict(os.environ))
    with subprocess.Popen(
        sandbox.command, env=sandbox.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as app:
        assert app.stdout is not None
        assert app.stdout.readline() == "ready\n"
        os.killpg(app.pid, signal.SIGTERM)
        assert app.stdout.read() == "drained\n"
        assert app.wait(30) == 3


def test_an_app_without_a_handler_ends_at_sigterm(root: Path) -> None:
    sandbox = sandbox_command(("sleep", "60"), root=str(root), workdir="/", environment=dict(os.environ))
    with subprocess.Popen(sandbox.command, env=sandbox.environment, start_new_session=True) as app:
        time.sleep(0.3)
        os.killpg(app.pid, signal.SIGTERM)
        assert app.wait(30) in (143, -15)


def test_folders_that_only_carry_mounts_are_not_the_builds(root: Path) -> None:
    before = [mount for mount in system_mounts(str(root)) if mount.kind != "link"]
    create_mount_points(str(root), before)

    assert [mount for mount in system_mounts(str(root)) if mount.kind != "link"] == before
    assert is_placeholder(str(root / "usr"), "/usr")
    (root / "usr" / "src" / "app").mkdir(parents=True)
    assert not is_placeholder(str(root / "usr"), "/usr")
