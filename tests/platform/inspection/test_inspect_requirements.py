"""Whether `bananastand inspect` tells which requirements cannot be had, with a package index of the test's own."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bananastand.platform.inspection import Inspection, inspect_source
from package_server import PackageServer, sdist

Inspect = Callable[..., Inspection]
EARLY, LATE = "2022-01-01T00:00:00Z", "2024-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def server() -> Iterator[PackageServer]:
    with PackageServer() as server:
        for version in ("1.0", "1.1"):
            server.add_wheel("fruit", version, uploaded=EARLY)
        server.add_wheel("juice", "2.0", uploaded=EARLY, requires=("fruit<1.1",))
        server.add_wheel("late", "1.0", uploaded=LATE)
        for minor in (7, 8):
            server.add_wheel("old", "1.0", uploaded=EARLY, tag=f"cp3{minor}-cp3{minor}-manylinux2014_x86_64")
        server.add_wheel("old", "2.0", uploaded=EARLY, tag="cp310-cp310-manylinux2014_x86_64")
        server.add_wheel("new", "3.0", uploaded=EARLY, tag="cp312-cp312-manylinux2014_x86_64")
        for version in ("1.0", "2.0"):
            server.add_wheel("rotten", version, uploaded=EARLY)
            server.yanked.add(f"rotten-{version}-py3-none-any.whl")
        server.add("raw-1.0.tar.gz", sdist("raw", "1.0", "raise SystemExit('setup.py must not run')"), EARLY)
        yield server


@pytest.fixture
def inspect(server: PackageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inspect:
    """Inspects a repository with these lines in requirements.txt."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", server.url())
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)

    def run(*lines: str, image: str = "python:3.10", more: str = "", as_of: str = "2023-03-01",
            index: bool = True) -> Inspection:  # fmt: skip
        folder = tmp_path / "repository"
        folder.mkdir(exist_ok=True)
        (folder / "requirements.txt").write_text("\n".join([*lines, ""]))
        (folder / "server.py").write_text("from http.server import HTTPServer\n")
        (folder / "Dockerfile").write_text(
            f"FROM {image}\nCOPY . .\nRUN pip install -r requirements.txt\n{more}CMD python3 server.py\n"
        )
        return inspect_source(folder, as_of=as_of, hub=False, index=index)

    return run


def changes(inspection: Inspection) -> list[tuple[str, str | None, str | None]]:
    return [(difference.text, difference.where, difference.change) for difference in inspection.changes]


@pytest.mark.needs("uv")
def test_requirements_that_can_be_had_and_fit_together_are_said_to(inspect: Inspect) -> None:
    said = inspect("juice==2.0", "fruit", "old>=2")

    assert (said.resolution.state, said.resolution.reason) == ("yes", "for Python 3.10")
    assert said.runs


@pytest.mark.parametrize(
    ("line", "text", "change"),
    [
        ("fruit==9.9", "fruit==9.9: the index has no such version; it has 1.0, 1.1",
         'correct the version, or [build] pins = ["fruit==VERSION"] in bananastand.toml takes another version'),
        ("vegetable", "vegetable: the index has no package vegetable", "correct its name, or remove the line"),
        ("old==1.0", "old==1.0 has no file for Python 3.10; it has files for Python 3.7-3.8",
         '[build] python = "3.8" in bananastand.toml or [build] pins = ["old==2.0"]'),
        ("rotten>=1", "rotten>=1: all versions it allows were withdrawn by their authors (yanked)",
         'pin one of them, or [build] pins = ["rotten==VERSION"] in bananastand.toml takes another version'),
        ("late", "late: no version it allows was there on 2023-03-01; the first came 2024-01-01",
         "deploy with --as-of now, or with --as-of 2024-01-01 or later"),
    ],
)  # fmt: skip
def test_a_requirement_that_cannot_be_had_is_named_with_its_line(
    line: str, text: str, change: str, inspect: Inspect
) -> None:
    said = inspect("fruit==1.0", line)

    assert changes(said) == [(text, "requirements.txt:2", change)]
    assert (said.resolution.state, said.resolution.reason, said.runs) == ("no", text, False)


@pytest.mark.needs("uv")
def test_requirements_that_contradict_each_other_are_named(inspect: Inspect) -> None:
    said = inspect("fruit==1.1", "juice")

    ((text, where, change),) = changes(said)
    assert text.startswith("the requirements contradict each other: Because")
    assert all(name in text for name in ("juice", "fruit<1.1", "fruit==1.1"))
    assert where == "requirements.txt:1"
    assert '[build] pins = ["PACKAGE==VERSION"]' in (change or "")


@pytest.mark.needs("uv")
def test_a_later_pip_call_may_replace_what_an_earlier_one_installed(inspect: Inspect) -> None:
    said = inspect("juice==2.0", more="RUN pip install fruit==1.1\n")

    assert said.resolution.state == "yes"


def test_a_pinned_version_that_was_withdrawn_is_still_to_be_had(inspect: Inspect) -> None:
    said = inspect("rotten==1.0")

    assert said.runs
    assert [difference.text for difference in said.differences if "rotten" in difference.text] == [
        "rotten==1.0 was withdrawn by its authors (yanked); a pin gets it still"
    ]


def test_pins_that_no_python_serves_together_are_named(inspect: Inspect) -> None:
    said = inspect("old==1.0", "new==3.0", image="ghcr.io/somebody/something:1")

    assert said.resolution.reason == (
        "no Python has files for all pins: old==1.0 (requirements.txt:1) has files for 3.7-3.8; "
        "new==3.0 (requirements.txt:2) has files for 3.12"
    )


def test_a_folder_that_pip_installs_is_no_package_of_the_index(inspect: Inspect) -> None:
    assert inspect("fruit", more="RUN pip install -e library && pip install --editable other\n").runs


def test_a_requirement_for_another_python_is_left_alone(inspect: Inspect) -> None:
    assert inspect('vegetable; python_version < "3.8"', "fruit").runs


def test_a_package_without_wheels_is_not_built_to_be_asked(inspect: Inspect) -> None:
    said = inspect("raw==1.0")

    assert said.resolution.state == "unknown"
    assert said.resolution.reason == "raw==1.0 has no wheel: its own requirements are known once it is built"
    assert said.runs


def test_an_index_that_gives_no_answer_leaves_it_open(inspect: Inspect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")

    said = inspect("fruit==9.9")

    assert said.resolution.state == "unknown"
    assert said.resolution.reason.startswith("the package index cannot be reached: http://127.0.0.1:9/simple/fruit/: ")
    assert said.runs


def test_an_index_that_wants_a_name_and_password_is_asked_with_them(
    inspect: Inspect, server: PackageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", server.url().replace("://", "://user:p%40ss@"))

    said = inspect("fruit==9.9")

    assert said.resolution.state == "no"
    assert server.authorizations[-1] == f"Basic {base64.b64encode(b'user:p@ss').decode()}"


def test_a_package_of_another_index_that_gives_no_answer_is_left_open(inspect: Inspect) -> None:
    said = inspect("--extra-index-url http://127.0.0.1:9/whl/cu113", "fruit==1.0+cu113", "vegetable")

    assert said.resolution.state == "unknown"
    assert said.runs


def test_without_the_index_nothing_is_asked(inspect: Inspect, server: PackageServer) -> None:
    before = len(server.requests)

    said = inspect("fruit==9.9", index=False)

    assert (said.resolution.state, said.resolution.reason) == ("unknown", "the package index was not asked")
    assert len(server.requests) == before
