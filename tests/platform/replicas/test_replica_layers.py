"""Replicas that are processes write into a layer of their own, as containers do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bananastand.platform.launch import Launch
from bananastand.platform.replicas.sandbox import sandbox_command, sandbox_problem
from bananastand.platform.replicas.writable_layer import overlay_command, overlay_problem, remove_layer, writes_files
from replicas import replica_of

pytestmark = [
    pytest.mark.needs("bwrap"),
    pytest.mark.skipif(bool(sandbox_problem() or overlay_problem()), reason="no mount namespaces with overlayfs here"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A build's tree, in a folder whose name has the characters that separate a mount's options."""
    folder = tmp_path / "build, of:today" / "root"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "weights.txt").write_text("as built")
    return folder


def run(root: Path, replica: str, code: str) -> tuple[str, Path]:
    """What Python prints in a replica's place, and the replica's layer."""
    sandboxed = sandbox_command(
        (sys.executable, "-c", code), root=str(root), workdir="/app", environment={"PATH": "/usr/bin"}
    )
    command, layer = overlay_command(sandboxed.command, str(root), replica)
    done = subprocess.run(command, cwd="/", env=sandboxed.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), layer


@pytest.mark.parametrize("path", ["input.mp3", "/app/server.lock", "/tmp/app.pid", "/root/state.db", "/data/x"])
def test_two_replicas_may_write_one_file(path: str, root: Path) -> None:
    code = "import os; os.makedirs(os.path.dirname({0!r}) or '.', exist_ok=True); open({0!r}, 'x').write({1!r})"

    for replica in ("one", "two"):
        run(root, replica, code.format(path, replica))
        output, _ = run(root, replica, f"print(open({path!r}).read())")
        assert output == replica


@pytest.mark.parametrize(
    "change", ["open('weights.txt', 'a').write('!')", "os.remove('weights.txt')", "os.rename('weights.txt', 'w')"]
)
def test_what_a_replica_changes_stays_as_built_for_the_next(change: str, root: Path) -> None:
    run(root, "one", f"import os; {change}")

    assert run(root, "two", "print(open('weights.txt').read())")[0] == "as built"
    assert (root / "app" / "weights.txt").read_text() == "as built"


def test_files_of_a_replica_are_deleted_with_its_layer(root: Path) -> None:
    _, layer = run(root, "one", "open('big.bin', 'w').write('x')")
    remove_layer(layer)

    assert not layer.exists()
    assert run(root, "one", "import os; print(os.path.exists('big.bin'))")[0] == "False"


@pytest.mark.parametrize(
    ("code", "wrote"),
    [
        ("open('input.mp3', 'w').write('x')", True),
        ("open('input.mp3', 'w').write('x'); import os; os.remove('input.mp3')", True),
        ("open('/input.mp3', 'w').write('x'); import os; os.remove('/input.mp3')", True),
        ("import os, time; os.makedirs('__pycache__'); open('__pycache__/app.pyc', 'w').write('x'); time.sleep(0.1); "
         "open('input.mp3', 'w').write('x'); os.remove('input.mp3')", True),
        ("import os; os.makedirs('__pycache__'); open('__pycache__/app.pyc', 'w').write('x')", False),
        ("import os; os.makedirs('/root/.cache/m'); open('/root/.cache/m/fonts', 'w').write('x')", False),
        ("print(1)", False),
    ],
)  # fmt: skip
def test_writes_files_is_true_after_a_replica_has_written(code: str, wrote: bool, root: Path) -> None:
    _, layer = run(root, "one", code)
    assert writes_files(str(root)) == wrote
    remove_layer(layer)
    assert writes_files(str(root)) == wrote


async def test_a_replica_that_shares_its_files_says_so_in_its_log(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bananastand.platform.replicas.starter.overlay_problem", lambda: "no overlayfs")
    launch = Launch("process", (sys.executable, "-m", "http.server", "8000"), str(root / "app"), root=str(root))
    lines = list[str]()

    async with replica_of(launch, lines):
        pass

    assert (
        "has no writable layer of its own: overlayfs does not work here (no overlayfs); replicas share their files"
        in lines
    )
