"""Requirements with hashes: exactly those files, or a build that says which one differs."""

from __future__ import annotations

import hashlib
import sys
import tomllib
from pathlib import Path

import pytest

from bananastand.platform.building import BuildError
from bananastand.platform.building.environments.installer_failures import FailureContext, explain_failure
from package_server import wheel
from repositories import Repository, index, installed, repository

__all__ = ["index", "repository"]


SAID = tomllib.loads(Path(__file__).with_name("installer_output.toml").read_text("utf-8"))


def hashed(name: str, version: str) -> str:
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(wheel(name, version)).hexdigest()}\n"


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose pip has a constraint that pins nothing, as images and companies set one."""
    (tmp_path / "limits.txt").write_text("torch<=3\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "limits.txt"))


@pytest.mark.parametrize("old", [False, True], ids=["of today", "of another time"])
def test_the_files_with_those_hashes_are_installed(repository: Repository, limited: None, old: bool) -> None:
    repository.index.add_wheel("fruitbowl", "1.0", uploaded="2022-06-01T00:00:00Z")
    repository.write_app(hashed("fruitbowl", "1.0"), old=old)

    assert installed(repository.build())["fruitbowl"] == "1.0"


def test_a_file_with_another_hash_fails_the_build_and_is_named(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write_app(f"fruitbowl==1.0 --hash=sha256:{'0' * 64}\n")

    with pytest.raises(
        BuildError, match=r"requirements.txt line 1 \(fruitbowl==1.0\): the file of fruitbowl==1.0 on the index is not"
    ):
        repository.build()


def test_a_requirement_without_a_hash_among_others_fails_as_pip_fails(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.index.add_wheel("spoon", "2.0")
    repository.write_app(hashed("fruitbowl", "1.0") + "spoon==2.0\n")

    with pytest.raises(BuildError, match=r"requirements.txt line 3 \(spoon==2.0\): spoon==2.0 has no hash"):
        repository.build()


def test_the_running_environment_serves_pins_with_hashes_that_it_has(repository: Repository) -> None:
    repository.write_app(f"pytest=={pytest.__version__} --hash=sha256:{'0' * 64}\n", old=True)
    (repository.source / "Dockerfile").write_text(
        "FROM python:3\nCOPY . .\nRUN pip install --require-hashes --no-deps -r requirements.txt\nCMD python3 app.py\n"
    )

    assert repository.build(adopt=(sys.executable,)).python == sys.executable


@pytest.mark.parametrize(
    ("said", "meant"),
    [("pip_differs", "fruitbowl==1.0 on the index is not"), ("pip_lacks", "spoon==2.0 has no hash")],
)
def test_pip_hash_errors_are_explained_too(said: str, meant: str) -> None:
    assert meant in explain_failure(SAID[said].splitlines(), FailureContext((), "pip", 11, "", None, lambda name: []))
