"""Environments that builds make from an index on loopback: what is in them, which Python they have, what fails how."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bananastand.platform.building import BuildError
from bananastand.platform.building.environments import environment_cache as cache_module
from package_server import sdist
from repositories import HERE, Repository, index, installed, python_of, repository

__all__ = ["index", "repository"]


def test_an_environment_holds_only_the_requirements(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0", requires=("peel",))
    repository.index.add_wheel("peel", "3.0")
    repository.write_app("fruitbowl\n")
    launch = repository.build()

    assert installed(launch) == {"fruitbowl": "1.0", "peel": "3.0"}
    assert {path.name for path in Path(str(launch.python)).parents[1].rglob("*.pth")} <= {"_virtualenv.pth"}
    assert "ERROR" not in repository.log
    environment = {**launch.environment, "PATH": os.environ["PATH"]}
    done = subprocess.run([str(launch.python), "-c", "import bananastand"], env=environment, cwd="/", check=False,
                          capture_output=True)  # fmt: skip
    assert b"No module named 'bananastand'" in done.stderr


def test_builds_with_the_same_requirements_share_an_environment(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.index.add_wheel("fruitbowl", "2.0")
    repository.write_app("fruitbowl==1.0\n")
    first = repository.build()
    (repository.source / "app.py").write_text("print('changed')\n")
    second = repository.build()
    assert "is there already, made by an earlier build" in repository.log
    repository.write_app("fruitbowl==2.0\n")
    third = repository.build()

    assert first.python == second.python != third.python
    assert [installed(launch) for launch in (second, third)] == [{"fruitbowl": "1.0"}, {"fruitbowl": "2.0"}]


def test_an_environment_is_deleted_a_month_after_its_last_build_is_gone(repository: Repository) -> None:
    for version in ("1.0", "2.0", "3.0"):
        repository.index.add_wheel("fruitbowl", version)
    environments = list[Path]()
    for version in ("1.0", "2.0"):
        repository.write_app(f"fruitbowl=={version}\n")
        environments.append(Path(str(repository.build().python)).parents[1])
    for environment in environments:
        os.utime(environment / ".bananastand", (1, 1))
    shutil.rmtree(repository.folder / "build1")
    repository.write_app("fruitbowl==3.0\n")
    repository.build()

    assert [environment.exists() for environment in environments] == [False, True]


def test_a_failed_environment_is_deleted_at_once(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write_app("fruitbowl\nno-such-fruit\n")
    with pytest.raises(BuildError, match="no-such-fruit"):
        repository.build()

    assert repository.environments == []


def test_what_a_killed_build_left_is_deleted_by_the_next(repository: Repository) -> None:
    left = repository.folder / "cache" / "environments" / "0123456789abcdef01234567"
    (left / "lib").mkdir(parents=True)
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write_app("fruitbowl\n")
    repository.build()

    assert not left.exists()


def test_a_full_disk_is_named_with_what_it_holds(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write_app("fruitbowl\n")
    layer = repository.folder / "cache" / "layers" / "x"
    layer.parent.mkdir(parents=True)
    layer.write_bytes(b"x" * 3 * 2**20)
    usage = shutil.disk_usage(repository.folder)._replace(free=5 * 2**20)
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda path: usage)

    message = r"no space is left for packages in \S+/cache: it holds 3 MB \(layers 3 MB\), and 5 MB are free\. Delete"
    with pytest.raises(BuildError, match=message):
        repository.build()
    assert repository.environments == []


def test_pip_makes_the_environment_where_uv_is_absent(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bananastand.platform.building.environments.environments.find_uv", lambda: None)
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write_app("fruitbowl\n")
    assert installed(repository.build()) == {"fruitbowl": "1.0"}
    assert "with pip" in repository.log

    repository.write_app("fruitbowl==7.0\n")
    with pytest.raises(BuildError, match=r"requirements.txt line 1 \(fruitbowl==7.0\): fruitbowl has no version 7.0"):
        repository.build()


@pytest.mark.needs("python3.8")
@pytest.mark.parametrize(
    ("base", "line"),
    [
        ("python:3.8-slim", ""),
        ("pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime", ""),
        ("nvidia/cuda:11.6.2-cudnn8-devel-ubuntu20.04", ""),
        ("ubuntu:22.04", "RUN apt-get update && apt-get install -y python3.8 python3-pip\n"),
        ("ubuntu:18.04", "RUN mkdir -p /usr/bin && ln -sf /usr/bin/python3.8 /usr/bin/python\n"),
    ],
)
def test_the_python_is_the_one_the_dockerfile_means(repository: Repository, base: str, line: str) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write_app("fruitbowl\n", base)
    dockerfile = repository.source / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("WORKDIR", f"{line}WORKDIR", 1))
    launch = repository.build()

    assert python_of(launch) == "3.8"
    assert installed(launch)["fruitbowl"] == "1.0"


@pytest.mark.needs("python3.8", "python3.9")
def test_bananastand_toml_overrides_the_base_image(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write_app("fruitbowl\n", "python:3.8")
    assert python_of(repository.build(python="3.9")) == "3.9"
    assert "Python 3.9" in repository.log


@pytest.mark.needs("python3.9")
def test_an_unknown_base_leaves_the_python_to_the_wheels_of_the_pins(repository: Repository) -> None:
    for tag in ("cp38-cp38", "cp39-cp39"):
        repository.index.add_wheel("fruitbowl", "1.0", tag=f"{tag}-manylinux_2_17_x86_64")
    repository.write_app("fruitbowl==1.0\n", "someone/their-own:1")
    launch = repository.build()

    assert python_of(launch) == "3.9"
    assert "nothing is known of the base image someone/their-own:1" in repository.log
    assert "fruitbowl 1.0 has no wheel for 3." in repository.log


def test_an_unavailable_python_fails_with_the_ways_on(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write_app("fruitbowl\n")
    with pytest.raises(BuildError) as error:
        repository.build(python="3.19")

    for part in ("Python 3.19 is wanted", "bananastand.toml", "uv python install 3.19", "--builder container"):
        assert part in str(error.value)


def test_without_the_images_python_the_nearest_that_the_pins_allow_is_taken(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0", tag=HERE)
    repository.write_app("fruitbowl==1.0\n", "python:3.19")
    launch = repository.build()

    assert python_of(launch) == f"3.{sys.version_info[1]}"
    assert "in the place of 3.19 (the base image python:3.19 has it)" in repository.log


@pytest.mark.needs("python3.9")
def test_a_wheel_that_is_missing_for_this_python_is_explained(repository: Repository) -> None:
    for tag in ("cp36-cp36m", "cp37-cp37m", "cp38-cp38"):
        repository.index.add_wheel("fruitbowl", "1.0", tag=f"{tag}-manylinux_2_17_x86_64")
    repository.write_app("fruitbowl==1.0\n", "python:3.9")
    with pytest.raises(BuildError) as error:
        repository.build()

    assert str(error.value) == (
        "Dockerfile line 4: requirements.txt line 1 (fruitbowl==1.0): fruitbowl 1.0 has no wheel for Python 3.9 "
        "(the base image "
        'python:3.9 has it); it has wheels for Python 3.6-3.8; [build] python = "3.8" in bananastand.toml takes that '
        'Python; [build] pins = ["fruitbowl==..."] in bananastand.toml takes another version'
    )


def test_a_source_that_cannot_be_built_gives_its_own_reason(repository: Repository) -> None:
    setup = "raise RuntimeError('the banana compiler is missing')\n"
    repository.index.add("fruitbowl-1.0.tar.gz", sdist("fruitbowl", "1.0", setup))
    repository.index.add_wheel("setuptools", "70.0")
    repository.write_app("# the fruit\nfruitbowl==1.0  # sweet\n")
    with pytest.raises(BuildError) as error:
        repository.build()

    assert "requirements.txt line 2 (fruitbowl==1.0): fruitbowl 1.0 cannot be built" in str(error.value)
    assert "note:" not in str(error.value)


def test_requirements_that_contradict_each_other_name_both(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0", requires=("peel<2",))
    repository.index.add_wheel("peel", "1.0")
    repository.index.add_wheel("peel", "2.0")
    repository.write_app("fruitbowl==1.0\npeel==2.0\n")
    with pytest.raises(BuildError, match=r"the requirements contradict each other: .*fruitbowl==1.0.*peel.*pins"):
        repository.build()


def test_a_package_that_is_in_no_index_is_named_with_its_line(repository: Repository) -> None:
    repository.write_app("\nno-such-fruit>=1\n")
    message = r"requirements.txt line 2 \(no-such-fruit>=1\): there is no package no-such-fruit in the index"
    with pytest.raises(BuildError, match=message):
        repository.build()


def test_a_pip_line_of_the_dockerfile_is_named_by_its_line(repository: Repository) -> None:
    repository.write_app("")
    (repository.source / "Dockerfile").write_text("FROM python:3\nRUN pip install no-such-fruit\nCMD python3 app.py\n")
    with pytest.raises(BuildError, match=r"^Dockerfile line 2 \(no-such-fruit\): there is no package"):
        repository.build()


def test_an_unreachable_index_is_reported_as_such(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    repository.write_app("fruitbowl\n")
    with pytest.raises(BuildError, match=r"the package index cannot be reached: http://127.0.0.1:9/simple/fruitbowl/"):
        repository.build()
