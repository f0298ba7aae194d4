"""Environments that builds make from an index on loopback: which Python, as of when, which torch, what fails how."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.building import BuildError, BuildSettings, build
from bananastand.platform.building import environment_cache as cache_module
from bananastand.platform.building.last_commit import date_files
from bananastand.platform.launch import Launch
from package_server import PackageServer, put, sdist

OLD = time.mktime((2023, 3, 1, 12, 0, 0, 0, 0, 0))
HERE = f"cp3{sys.version_info[1]}-cp3{sys.version_info[1]}-manylinux_2_17_x86_64"


class Repository:
    """A repository, an index that builds of it ask, and the builds' log."""

    def __init__(self, folder: Path, index: PackageServer) -> None:
        self.folder, self.index, self.source, self.lines = folder, index, folder / "source", list[str]()
        self.source.mkdir()
        self.count = 0

    def write(self, requirements: str, base: str = "python:3", app: str = "print('app')\n", old: bool = False) -> None:
        (self.source / "requirements.txt").write_text(requirements)
        (self.source / "app.py").write_text(app)
        (self.source / "Dockerfile").write_text(
            f"FROM {base}\nWORKDIR /app\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . .\n"
            "CMD python3 app.py\n"
        )
        for each in self.source.iterdir() if old else ():
            os.utime(each, (OLD, OLD))

    def build(self, **settings: Any) -> Launch:
        self.count, self.lines = self.count + 1, []
        given = {"builder": "process", "adopt": (), "torch_index": self.index.url("cpu"), **settings}
        return asyncio.run(
            build(
                self.source,
                settings=BuildSettings(cache=self.folder / "cache", **given),
                folder=self.folder / f"build{self.count}",
                log=self.lines.append,
            )
        )

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    @property
    def environments(self) -> list[Path]:
        folder = self.folder / "cache" / "environments"
        return [each for each in folder.iterdir() if each.is_dir()] if folder.is_dir() else []


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageServer]:
    with PackageServer() as server:
        for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", server.url())
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
        yield server


@pytest.fixture
def repository(tmp_path: Path, index: PackageServer) -> Repository:
    return Repository(tmp_path, index)


def installed(launch: Launch) -> dict[str, str]:
    """What is in the environment, by the interpreter's own word."""
    code = "import importlib.metadata as m; [print(d.metadata['Name'], d.version) for d in m.distributions()]"
    said = subprocess.run([str(launch.python), "-c", code], capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in said.splitlines())


def python_of(launch: Launch) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([str(launch.python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


# ------------------------------------------------------------------------------------------ what is in it, how long


def test_an_environment_holds_what_is_required_and_nothing_of_ours(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0", requires=("peel",))
    repository.index.add_wheel("peel", "3.0")
    repository.write("fruitbowl\n")
    launch = repository.build()

    assert installed(launch) == {"fruitbowl": "1.0", "peel": "3.0"}
    assert list(Path(str(launch.python)).parents[1].rglob("*.pth")) == [
        each for each in Path(str(launch.python)).parents[1].rglob("*.pth") if each.name == "_virtualenv.pth"
    ]
    assert "ERROR" not in repository.log
    environment = {**launch.environment, "PATH": os.environ["PATH"]}
    done = subprocess.run([str(launch.python), "-c", "import bananastand"], env=environment, cwd="/", check=False,
                          capture_output=True)  # fmt: skip
    assert b"No module named 'bananastand'" in done.stderr


def test_builds_with_the_same_requirements_share_an_environment(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.index.add_wheel("fruitbowl", "2.0")
    repository.write("fruitbowl==1.0\n")
    first = repository.build()
    (repository.source / "app.py").write_text("print('changed')\n")
    second = repository.build()
    assert "is there already, made by an earlier build" in repository.log
    repository.write("fruitbowl==2.0\n")
    third = repository.build()

    assert first.python == second.python != third.python
    assert [installed(each) for each in (second, third)] == [{"fruitbowl": "1.0"}, {"fruitbowl": "2.0"}]


def test_an_environment_is_deleted_a_month_after_its_last_build_is_gone(repository: Repository) -> None:
    for version in ("1.0", "2.0", "3.0"):
        repository.index.add_wheel("fruitbowl", version)
    environments = list[Path]()
    for version in ("1.0", "2.0"):
        repository.write(f"fruitbowl=={version}\n")
        environments.append(Path(str(repository.build().python)).parents[1])
    for each in environments:
        os.utime(each / ".bananastand", (1, 1))
    shutil.rmtree(repository.folder / "build1")
    repository.write("fruitbowl==3.0\n")
    repository.build()

    assert [each.exists() for each in environments] == [False, True]


def test_a_failed_environment_is_deleted_at_once(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write("fruitbowl\nno-such-fruit\n")
    with pytest.raises(BuildError, match="no-such-fruit"):
        repository.build()

    assert repository.environments == []


def test_what_a_killed_build_left_is_deleted_by_the_next(repository: Repository) -> None:
    left = repository.folder / "cache" / "environments" / "0123456789abcdef01234567"
    (left / "lib").mkdir(parents=True)
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write("fruitbowl\n")
    repository.build()

    assert not left.exists()


def test_a_full_disk_is_named_with_what_it_holds(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write("fruitbowl\n")
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
    monkeypatch.setattr("bananastand.platform.building.environments.find_uv", lambda: None)
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write("fruitbowl\n")
    assert installed(repository.build()) == {"fruitbowl": "1.0"}
    assert "with pip" in repository.log

    repository.write("fruitbowl==7.0\n")
    with pytest.raises(BuildError, match=r"requirements.txt line 1 \(fruitbowl==7.0\): fruitbowl has no version 7.0"):
        repository.build()


# -------------------------------------------------------------------------------------------------- which Python


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
    repository.write("fruitbowl\n", base)
    dockerfile = repository.source / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("WORKDIR", f"{line}WORKDIR", 1))
    launch = repository.build()

    assert python_of(launch) == "3.8"
    assert installed(launch)["fruitbowl"] == "1.0"


@pytest.mark.needs("python3.8", "python3.9")
def test_bananastand_toml_overrides_the_base_image(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write("fruitbowl\n", "python:3.8")
    assert python_of(repository.build(python="3.9")) == "3.9"
    assert "Python 3.9" in repository.log


@pytest.mark.needs("python3.9")
def test_an_unknown_base_leaves_the_python_to_the_wheels_of_the_pins(repository: Repository) -> None:
    for tag in ("cp38-cp38", "cp39-cp39"):
        repository.index.add_wheel("fruitbowl", "1.0", tag=f"{tag}-manylinux_2_17_x86_64")
    repository.write("fruitbowl==1.0\n", "someone/their-own:1")
    launch = repository.build()

    assert python_of(launch) == "3.9"
    assert "nothing is known of the base image someone/their-own:1" in repository.log
    assert "fruitbowl 1.0 has no wheel for 3." in repository.log


def test_a_python_that_is_not_to_be_had_is_an_error_with_ways_on(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write("fruitbowl\n")
    with pytest.raises(BuildError) as error:
        repository.build(python="3.19")

    for part in ("Python 3.19 is wanted", "bananastand.toml", "uv python install 3.19", "--builder container"):
        assert part in str(error.value)


def test_without_the_images_python_the_nearest_that_the_pins_allow_is_taken(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0", tag=HERE)
    repository.write("fruitbowl==1.0\n", "python:3.19")
    launch = repository.build()

    assert python_of(launch) == f"3.{sys.version_info[1]}"
    assert "in the place of 3.19 (the base image python:3.19 has it)" in repository.log


# ------------------------------------------------------------------------------------------------------ as of when


def old_and_new(index: PackageServer, dated: bool = True) -> None:
    for version, uploaded in (("4.26", "2023-01-10"), ("5.0", "2025-12-01")):
        index.add_wheel("transformers", version, uploaded=f"{uploaded}T10:00:00Z" if dated else None)


def test_open_requirements_are_those_of_the_repositorys_day(repository: Repository) -> None:
    old_and_new(repository.index)
    repository.write("transformers\n", old=True)

    assert installed(repository.build())["transformers"] == "4.26"
    said = "open requirements resolve as of 2023-03-01, the newest file of the source; --as-of now takes today's"
    assert said in repository.log
    assert installed(repository.build(as_of="now"))["transformers"] == "5.0"
    assert installed(repository.build(as_of="2022-12-31", pins=("transformers==4.26",)))["transformers"] == "4.26"


def commit(folder: Path, when: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "x"]):
        environment = {**os.environ, "GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when}
        subprocess.run(["git", *command], cwd=folder, env=environment, check=True)


def test_the_last_commit_comes_before_the_files_times(repository: Repository) -> None:
    old_and_new(repository.index)
    repository.write("transformers\n")
    commit(repository.source, "2023-02-01T10:00:00+00:00")

    assert installed(repository.build())["transformers"] == "4.26"
    assert "as of 2023-02-01, the repository's last commit" in repository.log


def test_a_file_for_this_stand_does_not_make_a_repository_younger(repository: Repository) -> None:
    old_and_new(repository.index)
    repository.write("transformers\n", old=True)
    (repository.source / "Dockerfile").unlink()
    (repository.source / "bananastand.toml").write_text("")

    assert installed(repository.build())["transformers"] == "4.26"
    assert "there is no Dockerfile; built as if it were:" in repository.log


def test_a_repository_of_this_year_gets_the_packages_of_today(repository: Repository) -> None:
    old_and_new(repository.index)
    repository.write("transformers\n")

    assert installed(repository.build())["transformers"] == "5.0"
    assert "open requirements resolve as of today" in repository.log


def test_an_index_without_upload_times_is_said_and_used(repository: Repository) -> None:
    old_and_new(repository.index, dated=False)
    repository.write("transformers\n", old=True)

    assert installed(repository.build())["transformers"] == "5.0"
    assert "the index tells no upload times: open requirements resolve as of today" in repository.log


def test_an_exact_pin_is_taken_whenever_it_was_uploaded(repository: Repository) -> None:
    old_and_new(repository.index)
    repository.write("transformers==5.0\n", old=True)

    assert installed(repository.build())["transformers"] == "5.0"


def test_a_requirement_younger_than_the_day_names_the_way_on(repository: Repository) -> None:
    old_and_new(repository.index)
    repository.write("transformers>=5\n", old=True)
    message = r"requirements.txt line 1 \(transformers>=5\): transformers: no version .* 2023-03-01 .*--as-of now"
    with pytest.raises(BuildError, match=message):
        repository.build()


def test_a_day_that_is_none_is_refused(repository: Repository) -> None:
    repository.write("")
    for day in ("yesterday", "2999-01-01"):
        with pytest.raises(BuildError, match=rf"--as-of {day}: give a date that has been, such as 2023-03-01"):
            repository.build(as_of=day)


# ------------------------------------------------------------------------------------------- the running environment


def test_the_running_environment_serves_an_app_of_today(repository: Repository) -> None:
    repository.write("pytest\n")
    launch = repository.build(adopt=(sys.executable,))

    assert launch.python == sys.executable
    assert "has all that is required, and is used as it is" in repository.log


def test_the_running_environment_does_not_serve_open_requirements_of_another_time(repository: Repository) -> None:
    repository.index.add_wheel("pytest", "7.2.1", uploaded="2023-01-14T10:00:00Z")
    repository.write("pytest\n", old=True)
    launch = repository.build(adopt=(sys.executable,))

    assert installed(launch)["pytest"] == "7.2.1"
    assert "its packages are of today, and open requirements are meant as of 2023-03-01" in repository.log


def test_the_running_environment_serves_exact_pins_that_it_has(repository: Repository) -> None:
    repository.write(f"pytest=={pytest.__version__}\n", old=True)
    assert repository.build(adopt=(sys.executable,)).python == sys.executable


def test_constraints_that_the_running_environment_meets_count_as_pins(repository: Repository) -> None:
    repository.write("pytest\n", old=True)
    (repository.source / "constraints.txt").write_text(f"pytest=={pytest.__version__}\n")
    (repository.source / "Dockerfile").write_text(
        "FROM python:3\nCOPY . .\nRUN pip install -r requirements.txt -c constraints.txt\nCMD python3 app.py\n"
    )
    os.utime(repository.source / "constraints.txt", (OLD, OLD))
    assert repository.build(adopt=(sys.executable,)).python == sys.executable


def test_the_running_environment_lacks_what_the_base_image_has_and_the_app_imports(repository: Repository) -> None:
    repository.index.add_wheel("torch", "2.9.0+cpu", index="cpu")
    repository.index.add_wheel("torchvision", "0.24.0+cpu", index="cpu")
    repository.index.add_wheel("torchaudio", "2.9.0+cpu", index="cpu")
    base = "pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime"
    repository.write("", base, "import torch\n")
    assert repository.build(adopt=(sys.executable,)).python == sys.executable
    repository.write("", base, "import torch\nfrom torchvision import transforms\n")
    launch = repository.build(adopt=(sys.executable,))

    assert "torchvision of the base image is not there" in repository.log
    packages = installed(launch)
    assert (packages["torch"], packages["torchvision"]) == ("2.9.0+cpu", "0.24.0+cpu")


# -------------------------------------------------------------------------------------------------------- which torch


@pytest.fixture
def torch_indexes(index: PackageServer) -> PackageServer:
    """CUDA's builds on the package index, CPU builds on another."""
    for version, vision in (("1.11.0", "0.12.0"), ("1.13.1", "0.14.1"), ("2.13.0", "0.28.0")):
        for local, where in (("", "main"), ("+cpu", "cpu")):
            index.add_wheel("torch", f"{version}{local}", index=where)
            index.add_wheel("torchvision", f"{vision}{local}", requires=(f"torch=={version}",), index=where)
    index.add_wheel("accelerate", "0.16", requires=("torch>=1.10",))
    return index


@pytest.mark.needs("python3.8")
def test_the_base_images_torch_is_there_as_a_cpu_build(repository: Repository, torch_indexes: PackageServer) -> None:
    repository.write("accelerate\n", "pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime", "import torch\n")
    packages = installed(repository.build())

    assert (packages["torch"], packages["torchvision"]) == ("1.11.0+cpu", "0.12.0+cpu")
    assert packages["accelerate"] == "0.16"


@pytest.mark.needs("python3.8")
def test_requirements_replace_the_base_images_torch(repository: Repository, torch_indexes: PackageServer) -> None:
    repository.write("torch==1.13.1\n", "pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime")
    packages = installed(repository.build())

    assert packages["torch"] == "1.13.1+cpu"
    assert "torchvision" not in packages


@pytest.mark.parametrize("requirement", ["torch==1.13.1+cu117", "torch==1.13.1", "torch<2", "accelerate"])
def test_no_build_of_cudas_is_taken_without_a_gpu(
    repository: Repository, torch_indexes: PackageServer, requirement: str
) -> None:
    repository.write(f"{requirement}\n")
    assert installed(repository.build())["torch"].endswith("+cpu")


def test_an_app_that_uses_no_torch_gets_none(repository: Repository, torch_indexes: PackageServer) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write("fruitbowl\n", "pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime")
    assert "torch" not in installed(repository.build())


@pytest.mark.parametrize("requirement", ["torch==1.13.1", "accelerate"])
def test_without_an_index_of_cpu_builds_torch_is_an_error_and_not_cudas(
    repository: Repository, torch_indexes: PackageServer, requirement: str
) -> None:
    repository.write(f"{requirement}\n")
    with pytest.raises(BuildError) as error:
        repository.build(torch_index=torch_indexes.url("nowhere"))

    for part in ("this machine has no GPU", "nowhere/simple/torch/ answers 404", "[torch] wheels", "stand.toml"):
        assert part in str(error.value)
    assert repository.environments == []


def test_wheels_on_disk_stand_in_for_the_index_of_cpu_builds(
    repository: Repository, torch_indexes: PackageServer
) -> None:
    put(repository.folder, "torch", "2.13.0+cpu", HERE)
    repository.write("accelerate\ntorch==1.13.1\ntorchvision\n")
    packages = installed(
        repository.build(torch_index=torch_indexes.url("nowhere"), torch_wheels=(str(repository.folder),))
    )

    assert packages == {"accelerate": "0.16", "torch": "2.13.0+cpu"}
    assert "torch 2.13.0+cpu (torch-2.13.0+cpu-cp3" in repository.log
    assert "in the place of torch==1.13.1; torchvision left out" in repository.log
    assert "answers 404" in repository.log


def test_a_wheel_for_another_python_moves_the_python(repository: Repository, torch_indexes: PackageServer) -> None:
    put(repository.folder, "torch", "2.13.0+cpu", HERE)
    repository.write("", "pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime", "import torch\n")
    launch = repository.build(torch_index=torch_indexes.url("nowhere"), torch_wheels=(str(repository.folder),))

    assert python_of(launch) == f"3.{sys.version_info[1]}"
    assert installed(launch)["torch"] == "2.13.0+cpu"
    assert f"Python 3.{sys.version_info[1]} in the place of 3.8" in repository.log


def test_a_gpu_that_the_pins_cannot_drive_is_said_before_anything_is_fetched(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = repository.folder / "bin"
    programs.mkdir()
    (programs / "nvidia-smi").write_text("#!/bin/sh\necho 9.0\n")
    (programs / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    repository.index.add_wheel("torch", "1.11.0")
    repository.write("torch==1.11.0\n")
    repository.build()

    warnings = [at for at, line in enumerate(repository.lines) if line.startswith("warning: torch 1.11.0")]
    made = [at for at, line in enumerate(repository.lines) if line.startswith("environment: making")]
    assert warnings
    assert warnings[0] < made[0]
    assert "compute capability 9.0" in repository.lines[warnings[0]]
    assert "the lowest that can is torch 2.0.0 with CUDA 11.8" in repository.lines[warnings[0]]


# -------------------------------------------------------------------------------------------------------- what fails


@pytest.mark.needs("python3.9")
def test_a_wheel_that_is_missing_for_this_python_is_explained(repository: Repository) -> None:
    for tag in ("cp36-cp36m", "cp37-cp37m", "cp38-cp38"):
        repository.index.add_wheel("fruitbowl", "1.0", tag=f"{tag}-manylinux_2_17_x86_64")
    repository.write("fruitbowl==1.0\n", "python:3.9")
    with pytest.raises(BuildError) as error:
        repository.build()

    assert str(error.value) == (
        "requirements.txt line 1 (fruitbowl==1.0): fruitbowl 1.0 has no wheel for Python 3.9 (the base image "
        'python:3.9 has it); it has wheels for Python 3.6-3.8; [build] python = "3.8" in bananastand.toml takes that '
        'Python; [build] pins = ["fruitbowl==..."] in bananastand.toml takes another version'
    )


def test_a_source_that_cannot_be_built_gives_its_own_reason(repository: Repository) -> None:
    setup = "raise RuntimeError('the banana compiler is missing')\n"
    repository.index.add("fruitbowl-1.0.tar.gz", sdist("fruitbowl", "1.0", setup))
    repository.index.add_wheel("setuptools", "70.0")
    repository.write("# the fruit\nfruitbowl==1.0  # sweet\n")
    with pytest.raises(BuildError) as error:
        repository.build()

    assert "requirements.txt line 2 (fruitbowl==1.0): fruitbowl 1.0 cannot be built" in str(error.value)
    assert "note:" not in str(error.value)


def test_requirements_that_contradict_each_other_name_both(repository: Repository) -> None:
    repository.index.add_wheel("fruitbowl", "1.0", requires=("peel<2",))
    repository.index.add_wheel("peel", "1.0")
    repository.index.add_wheel("peel", "2.0")
    repository.write("fruitbowl==1.0\npeel==2.0\n")
    with pytest.raises(BuildError, match=r"the requirements contradict each other: .*fruitbowl==1.0.*peel.*pins"):
        repository.build()


def test_a_package_that_is_in_no_index_is_named_with_its_line(repository: Repository) -> None:
    repository.write("\nno-such-fruit>=1\n")
    message = r"requirements.txt line 2 \(no-such-fruit>=1\): there is no package no-such-fruit in the index"
    with pytest.raises(BuildError, match=message):
        repository.build()


def test_a_pip_line_of_the_dockerfile_is_named_by_its_line(repository: Repository) -> None:
    repository.write("")
    (repository.source / "Dockerfile").write_text("FROM python:3\nRUN pip install no-such-fruit\nCMD python3 app.py\n")
    with pytest.raises(BuildError, match=r"^Dockerfile line 2 \(no-such-fruit\): there is no package"):
        repository.build()


def test_an_index_that_does_not_answer_is_no_fault_of_the_requirements(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    repository.write("fruitbowl\n")
    with pytest.raises(BuildError, match=r"the package index cannot be reached: http://127.0.0.1:9/simple/fruitbowl/"):
        repository.build()


# ---------------------------------------------------------------------------------------- what brings the day along


def test_the_day_of_a_repository_outlasts_its_upload(repository: Repository, tmp_path: Path) -> None:
    from bananastand.cli.deploy import _pack
    from bananastand.platform.building import fetch

    repository.write("")
    commit(repository.source, "2023-02-01T10:00:00+00:00")
    archive, into = tmp_path / "source.tar.gz", tmp_path / "into"
    _pack(repository.source, archive)
    settings = BuildSettings(cache=tmp_path / "c", roots=(tmp_path,))

    assert asyncio.run(fetch(str(archive), into, settings=settings, log=repository.lines.append)) is None
    assert {day_of(each) for each in into.iterdir()} == {"2023-02-01"}
    found = asyncio.run(fetch(str(repository.source), tmp_path / "two", settings=settings, log=repository.lines.append))
    assert found == "2023-02-01T10:00:00+00:00"
    address = f"file://{repository.source}"
    found = asyncio.run(fetch(address, tmp_path / "three", settings=settings, log=repository.lines.append))
    assert found == "2023-02-01T10:00:00+00:00"


def test_files_of_a_pushed_commit_are_dated_by_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    date_files(tmp_path, 0)
    assert day_of(tmp_path / "a") != "2023-03-01"
    date_files(tmp_path, OLD)
    assert day_of(tmp_path / "a") == "2023-03-01"


def day_of(path: Path) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(path.lstat().st_mtime))
