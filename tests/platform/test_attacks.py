"""What an app that is hostile to the platform, to its neighbours and to its user gets at, in each kind of isolation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.replicas.isolation import isolation_problem
from real_platform import DOCKERFILE, POTASSIUM, RealPlatform

pytestmark = pytest.mark.needs("bwrap")

APP = {"Dockerfile": DOCKERFILE + "ENV HOME=/somewhere\n", "app.py": POTASSIUM}
SECRET = "the-secret-of-the-neighbour"
READS = """
import os, glob
found = []
for pattern in PATTERNS:
    for path in glob.glob(pattern):
        try:
            found.append((path, open(path, 'rb').read()[:40].decode('latin-1')))
        except OSError:
            pass
out = found
"""


DOUBLE_FORK = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)', MARK])
    os._exit(0)
"""
PRELOAD = "import ctypes, bananastand.platform.store.private_files\n"  # while the files can be read


def reads(*patterns: str) -> str:
    return READS.replace("PATTERNS", repr(patterns))


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPlatform]:
    """A platform with a hostile app and its neighbour, each with a replica."""
    if (reason := isolation_problem()) is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("attacks")
    environment = {"BANANASTAND_GITHUB_SECRET": "hook-secret", "SOME_TOKEN": "token-of-the-user"}
    with RealPlatform(folder / "data", environment=environment) as running:
        for name, secrets in (("hostile", {}), ("neighbour", {"SECRET": SECRET})):
            built = running.deploy(name, APP, secrets=secrets)
            assert built["state"] == "live", built["log"]
            running.http.patch(f"/stand/v1/projects/{name}", json={"min_replicas": 1, "max_replicas": 2})
            assert running.run(name, "out = 1") == 1
        yield running


def test_the_start_says_which_isolation_is_in_force(up: RealPlatform) -> None:
    assert "isolation: bubblewrap: apps see their own files and processes" in up.log


def test_an_app_cannot_read_the_data_directory(up: RealPlatform) -> None:
    files = reads(f"{up.data}/client.toml", f"{up.data}/stand.sqlite*", f"{up.data}/*", f"{up.data}/builds/*/*",
                  f"{up.data.parent}/*")  # fmt: skip

    assert up.run("hostile", files) == []
    listed = up.run("hostile", f"import os; out = sum((names for _, _, names in os.walk({str(up.data)!r})), [])")
    assert not {"client.toml", "stand.sqlite", "identity.json", "lock"} & set(listed)


def test_an_app_sees_its_own_processes_and_environment_alone(up: RealPlatform) -> None:
    pids = up.run("hostile", "import os; out = sorted(int(p) for p in os.listdir('/proc') if p.isdigit())")
    environments = up.run("hostile", reads("/proc/*/environ").replace("[:40]", ""))

    assert len(pids) < 6
    text = str(environments)
    for secret in (SECRET, "hook-secret", "token-of-the-user", up.key):
        assert secret not in text
    assert up.run("neighbour", "import os; out = os.environ['SECRET']") == SECRET


def test_an_app_cannot_signal_the_platform_or_its_neighbour(up: RealPlatform) -> None:
    (theirs,) = up.replicas("neighbour")
    code = (
        "import os\nout = []\n"
        f"for pid in ({up.process.pid}, {theirs['pid']}):\n"
        "    try:\n        os.kill(pid, 9); out.append('killed')\n"
        "    except OSError as error:\n        out.append(type(error).__name__)\n"
    )

    assert up.run("hostile", code) == ["ProcessLookupError", "ProcessLookupError"]
    assert up.run("neighbour", "out = 2") == 2
    assert up.replicas("neighbour")[0]["pid"] == theirs["pid"]


def test_an_app_cannot_write_to_the_machine_or_to_the_caches(up: RealPlatform) -> None:
    hub, package = up.data / "cache" / "huggingface", Path(__file__).resolve().parents[2] / "bananastand"
    code = f"""
import os, sys
out = []
for place in ('/usr/lib', '/etc', '/sys', '/proc/sys/kernel', {str(hub)!r}, {str(package)!r}, sys.prefix):
    try:
        open(place + '/attack', 'w').close()
        os.unlink(place + '/attack')
        out.append(place)
    except OSError:
        pass
"""

    assert up.run("hostile", code) in ([], [str(hub)])  # a folder of that name in its own tree is its own
    assert not (hub / "attack").exists()
    kernel = ["/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches",
              "/sys/kernel/uevent_helper",
              "/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/cgroup.procs", "/sys/power/state"]  # fmt: skip
    opened = f"""
import os
out = []
for path in {kernel!r}:
    try:
        os.close(os.open(path, os.O_WRONLY))
        out.append(path)
    except OSError:
        pass
"""
    assert up.run("hostile", opened) == []


def test_an_app_cannot_use_the_machines_disks_or_become_more_than_it_is(up: RealPlatform) -> None:
    devices = up.run("hostile", "import os; out = sorted(os.listdir('/dev'))")
    status = up.run("hostile", "out = open('/proc/self/status').read()")
    mounted = up.run(
        "hostile", "import subprocess; out = subprocess.run(['mount', '-t', 'tmpfs', 'x', '/mnt']).returncode"
    )
    output = up.run(
        "hostile", "import os, stat; os.mknod('/disk', stat.S_IFBLK | 0o600, os.makedev(254, 0)); open('/disk', 'rb')"
    )

    assert not [name for name in devices if name.startswith(("vd", "sd", "nvme", "loop", "mem", "kmsg"))]
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert mounted != 0
    assert "Error" in output
    assert up.run("hostile", reads("/etc/shadow", "/etc/ssh/*")) in ([], [["/etc/shadow", ""]])


def test_two_replicas_have_a_tmp_of_their_own_each(up: RealPlatform) -> None:
    up.run("hostile", "open('/tmp/mine', 'w').write('1')")

    assert up.run("neighbour", "import os; out = os.path.exists('/tmp/mine')") is False
    assert not Path("/tmp/mine").exists()


def test_a_child_that_left_its_session_dies_with_its_replica(up: RealPlatform) -> None:
    """A double fork with setsid outlives a killed process group, and not a process namespace."""
    mark = f"banana-{time.time_ns()}"
    before = up.replicas("hostile")[0]["pid"]
    up.run("hostile", DOUBLE_FORK.replace("MARK", repr(mark)))
    wait_until(lambda: len(found(mark)) == 1)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: found(mark) == [])


def test_environment_lines_of_a_repository_bring_no_file_of_the_user_into_sight(
    up: RealPlatform, tmp_path: Path
) -> None:
    private = tmp_path / "private"
    (private / "bin").mkdir(parents=True)
    (private / "key").write_text("private")
    (private / "bin" / "python3").symlink_to("/usr/bin/env")
    lines = f"""ENV DATA={up.data} KEYS={private} FILE={private}/key PYTHONPATH={private}
ENV BANANASTAND_SHARED_HUB={up.data} HF_HOME={up.data} HOME=/nowhere REAL={Path.home()}
ENV PATH={private}/bin:$PATH
RUN cat {up.data}/client.toml {private}/key && exit 9; true
"""
    dockerfile = DOCKERFILE.replace("CMD", lines + "CMD")

    built = up.deploy("named", {"Dockerfile": dockerfile, "app.py": POTASSIUM})
    assert built["state"] == "live", built["log"]
    seen = up.run("named", reads(f"{up.data}/*", f"{private}/*", f"{private}/*/*", f"{Path.home()}/.bash*"))
    assert seen == []
    assert up.key not in built["log"]
    up.http.delete("/stand/v1/projects/named").raise_for_status()


def test_build_step_cannot_read_secrets_or_kill_processes(up: RealPlatform) -> None:
    (theirs,) = up.replicas("neighbour")
    run = (
        f"RUN ls {up.data}; cat {up.data}/client.toml; cat /proc/*/environ | tr '\\0' '\\n'; "
        f"kill -9 {theirs['pid']} {up.process.pid}; ls /dev; ls /proc; true\n"
    )

    built = up.deploy("builds", {"Dockerfile": DOCKERFILE.replace("CMD", f"{run}CMD"), "app.py": POTASSIUM})

    assert built["state"] == "live", built["log"]
    for secret in (SECRET, "hook-secret", "token-of-the-user", up.key):
        assert secret not in built["log"]
    assert "client.toml: No such file" in built["log"]
    assert up.replicas("neighbour")[0]["pid"] == theirs["pid"]
    up.http.delete("/stand/v1/projects/builds").raise_for_status()


def test_forked_replica_is_isolated_like_a_started_one(up: RealPlatform) -> None:
    """Of a version whose replicas write no files: others are not forked."""
    assert up.deploy("quiet", APP)["state"] == "live"
    up.http.patch("/stand/v1/projects/quiet", json={"min_replicas": 1})
    assert up.run("quiet", "out = 1") == 1
    wait_until(lambda: "is warm" in up.http.get("/stand/v1/projects/quiet/logs").text)
    wait_until(lambda: ready(up, "quiet"))
    (first,) = ready(up, "quiet")
    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: ready(up, "quiet") and first["id"] not in [replica["id"] for replica in ready(up, "quiet")])

    assert up.run("quiet", reads(f"{up.data}/client.toml", f"{up.data}/stand.sqlite")) == []
    assert "forked from a fork server" in up.http.get("/stand/v1/projects/quiet/logs").text
    wait_until(
        lambda: all(Path(f"/proc/{replica['pid']}").exists() for replica in ready(up, "quiet")) and ready(up, "quiet"),
        20,
    )
    assert all(replica["memory_mb"] > 1 for replica in ready(up, "quiet")), (
        "its pid is the machine's, which signals and memory want"
    )


@pytest.mark.parametrize("ends", ["replica", "platform"])
def test_without_isolation_a_child_that_left_its_session_is_swept(ends: str, tmp_path: Path) -> None:
    mark = f"banana-{time.time_ns()}"
    with RealPlatform(tmp_path / "data", "--isolation", "none") as running:
        assert "isolation: none: apps can read what this user can" in running.log
        running.deploy("app", APP)
        running.run("app", DOUBLE_FORK.replace("MARK", repr(mark)))
        wait_until(lambda: len(found(mark)) == 1)
        if ends == "replica":
            os.kill(running.replicas("app")[0]["pid"], signal.SIGKILL)
            wait_until(lambda: found(mark) == [])
    assert found(mark) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_process_of_the_same_user_cannot_read_the_platforms_environment() -> None:
    """/proc/PID/environ is readable by its user unless the process is not dumpable."""
    program = (
        "import ctypes, os, subprocess, sys\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\n"  # as a process of this user is that was not root before
        "from bananastand.platform.store.private_files import protect_memory\n"
        "protect_memory() if sys.argv[1] == 'yes' else None\n"
        "done = subprocess.run(['cat', f'/proc/{os.getpid()}/environ'], capture_output=True)\n"
        "print(b'hook-secret' in done.stdout, done.returncode)\n"
    )
    root = Path(__file__).resolve().parents[2]
    seen = [
        subprocess.run(
            [sys.executable, "-c", PRELOAD + program, protects], capture_output=True, text=True, cwd=root,
            env={**os.environ, "HOOK": "hook-secret"}, check=True,
        ).stdout.split()
        for protects in ("no", "yes")
    ]  # fmt: skip

    assert seen == [["True", "0"], ["False", "1"]]


@pytest.mark.parametrize("isolation", ["auto", "sandbox"])
def test_where_bubblewrap_is_missing_only_an_explicit_wish_is_refused(isolation: str, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python3", "sh", "env", "git", "true"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    environment = {"PATH": str(programs)}

    if isolation == "auto":
        with RealPlatform(tmp_path / "data", environment=environment) as running:
            assert "isolation: none" in running.log
            assert "bubblewrap is not installed (apt-get install bubblewrap)" in running.log
    else:
        with pytest.raises(AssertionError, match="isolation sandbox is not possible here: bubblewrap is not installed"):
            RealPlatform(tmp_path / "data", "--isolation", "sandbox", environment=environment)


def ready(up: RealPlatform, name: str) -> list[dict[str, Any]]:
    return [replica for replica in up.replicas(name) if replica["state"] == "ready"]


def found(mark: str) -> list[int]:
    pids = list[int]()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                pids.append(int(folder.name))
        except OSError:
            pass
    return pids


def wait_until(holds: Any, seconds: float = 60.0) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, "it did not come about in time"
        time.sleep(0.1)


def test_a_setup_script_of_a_package_is_kept_from_the_same(up: RealPlatform) -> None:
    script = f"""
import glob, os, setuptools
seen = []
for path in [{str(up.data)!r} + '/client.toml', *glob.glob('/proc/*/environ'), *glob.glob({str(up.data)!r} + '/*')]:
    try:
        seen.append(open(path, 'rb').read().decode('latin-1'))
    except OSError as error:
        seen.append(type(error).__name__)
try:
    open({str(up.data)!r} + '/builds/attack', 'w')
except OSError as error:
    seen.append(type(error).__name__)
setuptools.setup(name='hostile', version='1', description=repr(' '.join(seen))[:20000], py_modules=['hostile'])
"""
    files = {
        "setup.py": script,
        "hostile.py": "",
        "app.py": POTASSIUM,
    }
    files["Dockerfile"] = DOCKERFILE.replace("CMD", "RUN pip install . potassium==0.5.0\nCMD")

    built = up.deploy("packages", files)

    assert built["state"] == "live", built["log"]
    about = "import importlib.metadata as m; out = m.metadata('hostile')['Summary']"
    seen = up.run("packages", about)
    assert "FileNotFoundError" in seen
    for secret in (SECRET, "hook-secret", "token-of-the-user", up.key):
        assert secret not in seen
    up.http.delete("/stand/v1/projects/packages").raise_for_status()
