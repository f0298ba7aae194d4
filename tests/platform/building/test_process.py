"""The process builder: a Dockerfile done on this machine, and what of one it cannot do."""

from __future__ import annotations

import ast
import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.building import BuildError, NotHonoured
from bananastand.platform.building.processes.run_analysis import analyse_run
from bananastand.platform.launch import Launch
from platform_builds import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.write({"app.py": 'print("app")\n'})
    return bench


def test_a_dockerfile_of_bananas_template_builds(bench: Bench) -> None:
    """The lines of its SDXL demo; the packages are those that are here."""
    bench.write(
        {
            "requirements.txt": "potassium\nPillow>=1\n",
            "download.py": "open('weights.bin', 'w').write('w')",
            "app.py": "import os; print(os.environ['GREETING'], open('weights.bin').read(), os.getcwd()[-4:])",
        }
    )
    launch = bench.build(
        "FROM pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime\n"
        "WORKDIR /\nRUN apt-get update && apt-get install -y git\n"
        "RUN pip3 install --upgrade pip\nADD requirements.txt requirements.txt\nRUN pip3 install -r requirements.txt\n"
        "ADD download.py .\nRUN python3 download.py\nADD . .\nENV GREETING=hello\nEXPOSE 8000\nCMD python3 -u app.py\n"
    )

    assert launch.command == ("python3", "-u", "app.py")
    assert launch.python == sys.executable
    assert launch.port == 8000
    assert launch.kind == "process"
    assert bench.ran(launch) == "hello w root"
    assert "left out: apt-get update (the system is this machine's)" in bench.log
    assert "left out: apt-get install -y git" in bench.log
    assert "needs these Debian packages: git; this machine" in bench.log
    assert "builder: process (as the deploy asks; --builder container builds an image)" in bench.log
    assert "FROM pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime: this machine stands in for it" in bench.log
    assert "has all that is required, and is used as it is" in bench.log
    assert Launch.from_json(launch.to_json()) == launch


def test_arguments_variables_and_working_directories_are_those_of_the_dockerfile(bench: Bench) -> None:
    bench.write(
        {"app.py": "import os; print(os.environ['B'], os.environ['WHERE'], 'A' in os.environ, os.listdir('.'))"}
    )
    text = (
        "ARG TAG=3.11\nFROM python:$TAG\nARG TAG\nARG A=one\nENV B=${A}-${TAG} C=c\nWORKDIR /srv\nWORKDIR app\n"
        'RUN mkdir -p /data && echo "$A" > /data/a && echo there > out.txt\nENV WHERE=/data\n'
        'COPY app.py ./\nENTRYPOINT ["python3"]\nCMD ["app.py"]\n'
    )
    launch = bench.build(text, environment={"A": "two", "EXTRA": "1"})

    data = str(bench.folder / "build1" / "stage0" / "root" / "data")
    first, where, in_environment, files = bench.ran(launch).split(" ", 3)
    assert (first, where, in_environment) == ("two-3.11", data, "True")  # A is the deploy's
    assert sorted(ast.literal_eval(files)) == ["app.py", "out.txt"]
    assert launch.environment["WHERE"] == data
    assert launch.environment["B"] == "two-3.11"
    assert launch.environment["EXTRA"] == "1"
    assert Path(data, "a").read_text() == "two\n"
    assert not Path("/data").exists()


def test_a_stage_copies_files_of_an_earlier_stage(bench: Bench) -> None:
    bench.write({"app.py": "print(open('/'.join([__import__('os').getcwd(), 'made'])).read())"})
    launch = bench.build(
        "FROM python:3 AS made\nWORKDIR /w\nRUN echo from-the-first > made\n"
        "FROM python:3 AS unused\nRUN no-such-program\n"
        'FROM python:3\nWORKDIR /app\nCOPY --from=made /w/made .\nCOPY . .\nCMD ["python3", "/app/app.py"]\n'
    )

    assert bench.ran(launch) == "from-the-first"
    assert launch.command[1].endswith("/root/app/app.py")
    assert not (bench.folder / "build1" / "stage0").exists()


def test_download_runs_once_for_each_weights_layer(bench: Bench) -> None:
    bench.write(
        {
            "download.py": "import uuid; open('weights.bin', 'w').write(str(uuid.uuid4()))",
            "app.py": "print(open('weights.bin').read())",
        }
    )
    text = "FROM python:3\nWORKDIR /app\nCOPY download.py .\nRUN python3 download.py\nCOPY . .\nCMD python3 app.py\n"
    first = bench.ran(bench.build(text))
    bench.write({"app.py": "print(open('weights.bin').read())  # the code has changed"})
    again = bench.ran(bench.build(text))
    assert "as in an earlier build" in bench.log
    bench.write({"download.py": "import uuid; open('weights.bin', 'w').write('new' + str(uuid.uuid4()))"})
    changed = bench.ran(bench.build(text))

    assert again == first
    assert changed.startswith("new")
    assert "as in an earlier build" not in bench.log


def test_weights_are_linked_and_what_is_removed_stays_removed(bench: Bench) -> None:
    bench.write(
        {
            "download.py": "import os; open('w', 'wb').write(bytes(17 << 20)); os.remove('old'); os.symlink('w', 'l')",
            "old": "x",
        }
    )
    text = "FROM python:3\nWORKDIR /app\nCOPY . .\nRUN python3 download.py\nCMD python3 app.py\n"
    places = [Path(bench.build(text).workdir) for _ in range(2)]

    assert places[0].joinpath("w").stat().st_ino == places[1].joinpath("w").stat().st_ino
    assert not places[1].joinpath("old").exists()
    assert os.readlink(places[1] / "l") == "w"


def test_copy_honours_dockerignore_and_chmod(bench: Bench) -> None:
    bench.write({"secret.txt": "no", "data/kept.txt": "yes"})
    (bench.source / ".dockerignore").write_text("secret.txt\n")
    launch = bench.build("FROM python:3\nWORKDIR /app\nCOPY --chmod=700 . .\nCMD python3 app.py\n")

    assert sorted(path.name for path in Path(launch.workdir).iterdir()) == [
        ".dockerignore",
        "Dockerfile",
        "app.py",
        "data",
    ]
    assert oct(Path(launch.workdir, "app.py").stat().st_mode & 0o777) == "0o700"
    with pytest.raises(BuildError, match=r"line 2: secret.txt is not in the source; .dockerignore leaves it out"):
        bench.build("FROM python:3\nCOPY secret.txt .\nCMD python3 app.py\n")


def test_secrets_reach_a_run_and_nothing_else(bench: Bench) -> None:
    bench.write(
        {
            "see.py": "import os; e = os.environ\n"
            "print('got', e['TOKEN'], open(e['BANANASTAND_ROOT'] + '/run/secrets/TOKEN').read())"
        }
    )
    launch = bench.build(
        "FROM python:3\nWORKDIR /app\nCOPY . .\nRUN --mount=type=secret,id=TOKEN python3 see.py\nCMD python3 app.py\n",
        secrets={"TOKEN": "s3cret-s3cret"},
    )

    assert "got *** ***" in bench.log
    assert "s3cret" not in bench.log + launch.to_json()
    found = [path for path in bench.folder.rglob("*") if path.is_file() and b"s3cret-s3cret" in path.read_bytes()]
    assert found == []


def test_mounts_are_there_for_the_run_and_gone_after_it(bench: Bench) -> None:
    bench.write({"app.py": "import os; print(sorted(os.listdir('/'.join([os.getcwd(), '..', 'mnt']))))"})
    launch = bench.build(
        "FROM python:3 AS one\nRUN echo 1 > /made\nFROM python:3\nWORKDIR /app\nCOPY . .\n"
        "RUN --mount=type=bind,target=/mnt/s --mount=type=bind,from=one,source=/made,target=/mnt/made "
        "--mount=type=cache,target=/mnt/c cat /mnt/made /mnt/s/app.py && echo kept >> /mnt/c/kept\n"
        "CMD python3 app.py\n"
    )

    assert bench.ran(launch) == "[]"
    assert "\n1\n" in bench.log
    assert sorted(path.name for path in (bench.folder / "fetched1").iterdir()) == ["Dockerfile", "app.py"]
    (cached,) = (bench.folder / "cache" / "mounts").rglob("kept")
    assert cached.read_text() == "kept\n"


def test_this_repositorys_own_dockerfile_builds(root: Path, bench: Bench) -> None:
    launch = asyncio.run(bench.built(root, "build"))

    assert launch.command == ("python3", "app.py")
    assert launch.python == sys.executable
    assert launch.environment["MODEL"] == "fruitstand"
    assert launch.environment["HF_HOME"] == f"{bench.folder}/build/stage1/root/opt/huggingface"
    assert any(line.startswith("fruitstand: nothing to fetch") for line in bench.lines)
    assert sorted(path.name for path in Path(launch.workdir).iterdir()) == [
        "app.py", "banana_config.json", "bananastand", "download.py", "models",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("RUN no-such-tool install", "line 2: RUN no-such-tool: this machine has no program no-such-tool"),
        ("RUN conda build x", "line 2: RUN conda build x: not a command of conda that is read"),
        ("COPY --from=nginx /x /x", "line 2: --from=nginx: files of an image"),
        ("COPY --parents a b", "line 2: COPY --parents is not honoured"),
        ('SHELL ["powershell", "-c"]', "line 2: SHELL"),
        ("RUN --mount=type=ssh true", "line 2: a mount of type ssh"),
    ],
)
def test_an_unsupported_line_fails_with_its_text(line: str, reason: str, bench: Bench) -> None:
    with pytest.raises(NotHonoured, match=reason) as raised:
        bench.build(f"FROM python:3\n{line}\nCMD python3 app.py\n")
    message, begins = str(raised.value), " ".join(line.replace('"', "'").split()[:3])
    assert "Build it with the container builder (--builder container)" in message
    assert f'put skip = ["{begins}"] under [build] of bananastand.toml' in message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FROM python:3\nCOPY . .\n", "has no CMD"),
        ("FROM python:3\nCOPY . .\nCMD python3 nosuch.py", r"CMD python3 nosuch.py: there is no nosuch.py in /"),
        ("FROM python:3\nCMD no-such-program",
         "neither the build's environment nor this machine has a program no-such-program; add the package"),
        ("FROM python:3\nCOPY nosuch .\nCMD x", "line 2: nosuch is not in the source"),
        ("FROM python:3\nRUN apt-get install -y no-such-x && false\nCMD x",
         "line 2: RUN apt-get install -y no-such-x && false ended with status 1. This machine lacks some of the "
         "Dockerfile's Debian packages: sudo apt-get install no-such-x$"),
        pytest.param(
            "FROM python:3\nRUN apt-get install -y git && false\nCMD x",
            "line 2: RUN apt-get install -y git && false ended with status 1$",
            marks=pytest.mark.needs("git"),
        ),
        ("FROM python:3\nCOPY ../../etc/passwd .\nCMD x", "line 2: ../../etc/passwd is not in the source"),
    ],
)  # fmt: skip
def test_a_build_that_fails_says_why(text: str, reason: str, bench: Bench) -> None:
    with pytest.raises(BuildError, match=reason):
        bench.build(text)


@pytest.mark.parametrize("second", ["COPY app.py /a/link/app.py", "COPY two /a/", "COPY two/link /a/link"])
def test_a_copy_cannot_leave_the_build_through_a_link(second: str, bench: Bench) -> None:
    outside = bench.folder / "outside"
    outside.mkdir()
    (bench.source / "one").mkdir()
    (bench.source / "one" / "link").symlink_to(outside)
    (bench.source / "two" / "link").mkdir(parents=True)
    (bench.source / "two" / "link" / "app.py").touch()

    with pytest.raises(BuildError, match="leads out of the image"):
        bench.build(f"FROM python:3\nCOPY one /a/\n{second}\nCMD x\n")
    assert list(outside.iterdir()) == []


def test_cancelling_kills_everything_the_build_started(bench: Bench) -> None:
    pids = bench.folder / "b" / "stage0" / "root" / "pids"
    bench.write(
        {
            "slow.py": "import subprocess, os, time\np = subprocess.Popen(['sleep', '300'])\n"
            "open('pids', 'w').write(f'{os.getpid()} {p.pid}')\ntime.sleep(300)\n"
        }
    )
    (bench.source / "Dockerfile").write_text("FROM python:3\nCOPY . .\nRUN python3 slow.py\nCMD python3 app.py\n")

    async def cancelled() -> None:
        task = asyncio.create_task(bench.built(bench.source, "b"))
        while not pids.exists() or " " not in pids.read_text():
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(cancelled(), 30))
    until = time.monotonic() + 5
    while any(alive(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < until
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def never(name: str) -> str | None:
    return None


@pytest.mark.parametrize(
    ("text", "line", "pip"),
    [
        ("python3 download.py", "python3 download.py", []),
        ("/opt/venv/bin/python3 /app/x.py", 'python3 "$BANANASTAND_ROOT"/app/x.py', []),
        ("pip install a && python3 x.py", ": && python3 x.py", [("install", "a")]),
        ("pip3 install -q 'a>=1' \"b[c]\"", "", [("install", "-q", "a>=1", "b[c]")]),
        ("python -m pip install a; apt-get clean", "", [("install", "a")]),
        ("rm -rf /var/lib/apt/lists/* && echo /x > /y", ': && echo /x > "$BANANASTAND_ROOT"/y', []),
        ("rm -rf /var/lib/x && ls", 'rm -rf "$BANANASTAND_ROOT"/var/lib/x && ls', []),
        ("mkdir '/a b' \"/c d\"", "mkdir ''\"$BANANASTAND_ROOT\"'/a b' \"$BANANASTAND_ROOT/c d\"", []),
        ("sed -i '/^x/d' /etc/f", "sed -i '/^x/d' \"$BANANASTAND_ROOT\"/etc/f", []),
        ("curl -o /w https://a.b 2>/dev/null", 'curl -o "$BANANASTAND_ROOT"/w https://a.b 2>/dev/null', []),
        ("python3 -c \"import os; print('/a')\"", "python3 -c \"import os; print('/a')\"", []),
        ("if [ -d /a ]; then useradd x; else true; fi", 'if [ -d "$BANANASTAND_ROOT"/a ]; then :; else true; fi', []),
        ("x=$(useradd y) && true", "x=$(:) && true", []),
        ("install --owner=u -d /a", 'install  -d "$BANANASTAND_ROOT"/a', []),
    ],
)  # fmt: skip
def test_run_line_is_split_into_shell_and_pip_commands(text: str, line: str, pip: list[Any]) -> None:
    read = analyse_run(1, text, never)

    assert read.pip == pip
    assert read.line == line


def test_no_run_line_reaches_a_path_of_this_machine() -> None:
    hidden: Callable[[str], str | None] = never
    for text in (
        "rm -rf /",
        "cp a /usr/bin/b",
        "FOO=/x python3 y",
        "tar -C /opt -xf z",
        "python3 x --dir=/w",
        "cat </w",
    ):
        assert '"$BANANASTAND_ROOT"/' in analyse_run(1, text, hidden).line
