"""What a container's RUN lines see for the time of a build: how lines are changed, and what is put into them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bananastand.platform.building import BuildSettings
from bananastand.platform.building.containers.dated_index import DatedIndex, exact_pins, files_before, serve_dated_index
from bananastand.platform.building.containers.run_environment import make_run_environment
from bananastand.platform.building.dockerfile.dockerfile import parse
from bananastand.platform.building.dockerfile.run_edits import add_run_environment
from bananastand.platform.building.environments.installer import PipConfig
from bananastand.platform.building.log import BuildLog
from bananastand.platform.environment import addresses
from package_server import PackageServer

FLAGS, WORDS = ("--mount=A", "--mount=B"), ". /f; "


def edited(text: str) -> tuple[str, list[str]]:
    lines = list[str]()
    return add_run_environment(text, parse(text), FLAGS, WORDS, lines.append), lines


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("RUN make", "RUN --mount=A --mount=B . /f; make"),
        ("run make && make install", "run --mount=A --mount=B . /f; make && make install"),
        ("RUN --network=host make", "RUN --mount=A --mount=B --network=host . /f; make"),
        ("RUN --mount=type=cache,target=/c \\\n    make", None),
        ("RUN make \\\n    # a comment\n    all", "RUN --mount=A --mount=B . /f; make \\\n    # a comment\n    all"),
        ("RUN \\\n    make", None),
        ('RUN ["python3", "a b.py"]',
         'RUN --mount=A --mount=B ["/bin/sh", "-c", ". /f; exec \\"$@\\"", "sh", "python3", "a b.py"]'),
        ("RUN <<EOF\nmake\nEOF", "RUN --mount=A --mount=B <<EOF\n. /f\nmake\nEOF"),
        ("RUN python3 - <<EOF\nprint(1)\nEOF", "RUN --mount=A --mount=B . /f; python3 - <<EOF\nprint(1)\nEOF"),
        ('SHELL ["/bin/bash", "-o", "pipefail", "-c"]\nRUN make',
         'SHELL ["/bin/bash", "-o", "pipefail", "-c"]\nRUN --mount=A --mount=B . /f; make'),
        ('SHELL ["conda", "run", "-n", "x", "/bin/bash", "-c"]\nRUN make',
         'SHELL ["conda", "run", "-n", "x", "/bin/bash", "-c"]\nRUN --mount=A --mount=B . /f; make'),
        ("COPY . .\nENV RUN=1\nCMD RUN", "COPY . .\nENV RUN=1\nCMD RUN"),
    ],
)  # fmt: skip
def test_each_run_line_reads_the_secret_file_before_its_command(line: str, after: str | None) -> None:
    text, lines = edited(f"FROM python:3\n{line}\nEXPOSE 8000\n")

    if after is not None:
        assert text == f"FROM python:3\n{after}\nEXPOSE 8000\n"
    assert lines == []
    after_all = [instruction for instruction in parse(text).stages[0].instructions if instruction.name == "RUN"]
    before = [
        instruction
        for instruction in parse(f"FROM python:3\n{line}\n").stages[0].instructions
        if instruction.name == "RUN"
    ]
    for old, new in zip(before, after_all, strict=True):
        assert new.flags == (("mount", "A"), ("mount", "B"), *old.flags)
        if old.exec_form() is None and not new.heredocs:
            assert new.value.replace(WORDS, "", 1) == old.value


@pytest.mark.parametrize(
    "line", ['SHELL ["powershell", "-Command"]\nRUN dir', "RUN <<EOF\n#!/usr/bin/env python3\nprint(1)\nEOF"]
)
def test_a_line_for_another_shell_stays_unchanged_and_is_logged(line: str) -> None:
    text, lines = edited(f"FROM python:3\n{line}\n")

    assert text == f"FROM python:3\n{line}\n"
    assert len(lines) == 1
    assert lines[0].startswith("Dockerfile line ")


def test_lines_of_an_image_without_a_shell_stay_unchanged() -> None:
    text, lines = edited('FROM scratch AS one\nFROM one\nRUN ["/program"]\n')

    assert 'RUN ["/program"]' in text
    assert lines == ["Dockerfile line 3: tokens and addresses of this machine do not reach it"]


def test_shell_of_an_earlier_stage_holds_in_stages_built_on_it() -> None:
    text, lines = edited('FROM x AS one\nSHELL ["powershell", "-c"]\nFROM one\nRUN dir\nFROM y\nRUN make\n')

    assert "\nRUN dir\n" in text
    assert "\nRUN --mount=A --mount=B . /f; make\n" in text
    assert len(lines) == 1


def lines_of(text: str, machine: dict[str, str], *, before: str = "", **secrets: str) -> dict[str, str]:
    """The variables that a shell has after it has read the file."""
    dockerfile = parse(text)
    settings = BuildSettings(cache=Path("/nowhere"), secrets=secrets)
    environment = make_run_environment(dockerfile, settings, {}, machine, PipConfig())
    script = before + environment.environment.get("BANANASTAND_BUILD", "") + "env"
    path = {"PATH": os.environ["PATH"]}
    done = subprocess.run(["/bin/sh", "-c", script], env=path, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def test_a_token_reaches_run_lines_under_both_of_its_names() -> None:
    found = lines_of("FROM x\n", {}, HF_TOKEN="hf_it's $HOME", OTHER="secret")

    assert found["HF_TOKEN"] == found["HUGGING_FACE_HUB_TOKEN"] == "hf_it's $HOME"
    assert "OTHER" not in found


def test_a_secret_that_an_arg_declares_comes_before_an_empty_env() -> None:
    found = lines_of("FROM x\nARG KEY\nENV KEY=${KEY}\n", {}, before="export KEY=\n", KEY="k")

    assert found["KEY"] == "k"


def test_addresses_of_the_hub_come_after_what_the_dockerfile_sets() -> None:
    machine = {"HF_ENDPOINT": "https://mirror.example", "HF_HOME": "/root/hub", "HF_TOKEN": "not named", "X": "1"}

    assert lines_of("FROM x\n", machine)["HF_ENDPOINT"] == "https://mirror.example"
    assert lines_of("FROM x\n", machine, before="export HF_ENDPOINT=own\n")["HF_ENDPOINT"] == "own"
    assert not {"HF_HOME", "HF_TOKEN", "X"} & lines_of("FROM x\n", machine).keys()


def test_without_secrets_and_addresses_lines_stay_unchanged() -> None:
    environment = make_run_environment(parse("FROM x\n"), BuildSettings(cache=Path("/nowhere")), {}, {}, PipConfig())

    assert (environment.options, environment.environment, environment.flags, environment.words) == ((), {}, (), "")


def test_other_weights_are_part_of_a_line_so_that_its_layer_is_made_again() -> None:
    settings = BuildSettings(cache=Path("/nowhere"))
    one = make_run_environment(parse("FROM x\n"), settings, {"a/b": "c/d"}, {}, PipConfig())
    other = make_run_environment(parse("FROM x\n"), settings, {"a/b": "e/f"}, {}, PipConfig())

    assert one.words != other.words
    assert any(option.endswith("sitecustomize.py") for option in one.options)


def test_a_token_is_in_no_line_and_no_option() -> None:
    settings = BuildSettings(cache=Path("/nowhere"), secrets={"HF_TOKEN": "hf_secret"})
    environment = make_run_environment(parse("FROM x\n"), settings, {}, {}, PipConfig())

    assert "hf_secret" not in " ".join((*environment.options, *environment.flags, environment.words))
    assert "hf_secret" not in repr(environment)


def test_folders_of_this_machine_are_not_passed_to_a_container() -> None:
    machine = {"HTTPS_PROXY": "http://proxy:3128", "HF_HUB_OFFLINE": "1", "HF_HOME": "/home/me", "TMPDIR": "/tmp",
               "HF_TOKEN": "hf_x", "PATH": "/bin", "HF_HUB_CACHE": "~/hub"}  # fmt: skip

    assert addresses(machine) == {"HTTPS_PROXY": "http://proxy:3128", "HF_HUB_OFFLINE": "1"}


DAY = datetime(2023, 3, 1, 23, 59, 59, tzinfo=UTC)


def installed(index: DatedIndex | None, folder: Path, *requirements: str) -> list[str]:
    """The files that pip takes from the index."""
    assert index is not None
    command = [sys.executable, "-m", "pip", "--isolated", "download", "--no-deps", "--dest", str(folder)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    subprocess.run([*command, "--index-url", index.address, *requirements], env=environment, check=True)
    return sorted(path.name for path in folder.glob("*.whl"))


def test_pip_takes_the_packages_of_the_repositorys_day(tmp_path: Path) -> None:
    source, lines = tmp_path / "source", list[str]()
    source.mkdir()
    (source / "requirements.txt").write_text("banana\npeel==3.0\ncherry\n")

    async def scenario(server: PackageServer) -> list[str]:
        settings = BuildSettings(cache=tmp_path, committed="2023-03-01T12:00:00+00:00")
        log = BuildLog(lines.append)
        async with serve_dated_index(settings, source, PipConfig(index=server.url()), log) as index:
            return await asyncio.to_thread(installed, index, tmp_path, "banana", "peel==3.0", "cherry")

    with PackageServer() as server:
        server.add_wheel("banana", "1.0", uploaded="2023-01-01T10:00:00Z")
        server.add_wheel("banana", "2.0", uploaded="2024-01-01T10:00:00Z")
        server.add_wheel("peel", "3.0", uploaded="2024-01-01T10:00:00Z")
        server.add_wheel("cherry", "9.0")
        files = asyncio.run(scenario(server))

    assert files == ["banana-1.0-py3-none-any.whl", "cherry-9.0-py3-none-any.whl", "peel-3.0-py3-none-any.whl"]
    assert "open requirements resolve as of 2023-03-01" in lines[0]
    assert lines[-1] == "the index tells no upload times of cherry: all of their versions count"


@pytest.mark.parametrize("as_of", ["now", None])
def test_no_dated_index_runs_for_todays_packages(as_of: str | None, tmp_path: Path) -> None:
    async def scenario() -> DatedIndex | None:
        committed = datetime.now(UTC).isoformat()
        settings = BuildSettings(cache=tmp_path, as_of=as_of, committed=committed)
        async with serve_dated_index(settings, tmp_path, PipConfig(), BuildLog(lambda line: None)) as index:
            return index

    assert asyncio.run(scenario()) is None


def test_pins_are_found_in_requirements_and_run_lines(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("Sanic[ext] == 22.6.2  # the server\nnumpy<2\nbad==${X}\n")
    (tmp_path / "Dockerfile").write_text("FROM x\nRUN pip install 'torch_x===1.0' \\\n  peel==2.0 && true\n")
    (tmp_path / "weights.bin").write_text("peel==9.0")

    found = {name: sorted(map(str, versions)) for name, versions in exact_pins(tmp_path).items()}

    assert found == {"sanic": ["22.6.2"], "torch-x": ["1.0"], "peel": ["2.0"]}


def test_a_dated_index_has_the_files_uploaded_before_the_date() -> None:
    rows = [
        {"filename": "a-1.0.tar.gz", "upload-time": "2023-03-01T10:00:00.123456Z"},
        {"filename": "a-2.0.tar.gz", "upload-time": "2023-03-02T00:00:00Z"},
        {"filename": "a-3.0.tar.gz"},
    ]

    assert [row["filename"] for row in files_before(rows, DAY)] == ["a-1.0.tar.gz"]
    assert len(files_before(rows[2:], DAY)) == 1


def test_the_newest_file_of_a_dated_index_counts_although_it_was_withdrawn_later() -> None:
    rows = [
        {"filename": "a-1.4.tar.gz", "upload-time": "2023-02-01T00:00:00Z", "yanked": "broken"},
        {"filename": "a-1.5.tar.gz", "upload-time": "2023-02-02T00:00:00Z", "yanked": "see 1.5.post1"},
        {"filename": "a-1.5.post1.tar.gz", "upload-time": "2023-04-01T00:00:00Z"},
    ]

    assert [row["yanked"] for row in files_before(rows, DAY)] == ["broken", False]
