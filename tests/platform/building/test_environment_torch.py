"""Which torch an environment gets: the base image's, the requirements', the CPU's; and what a GPU can run."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from bananastand.platform.building import BuildError
from bananastand.platform.building.builder import source_builder
from bananastand.platform.building.deployer import Builder, BuildRequest
from bananastand.platform.errors import Refused
from bananastand.platform.launch import Launch
from package_server import PackageServer, put
from repositories import HERE, Repository, index, installed, python_of, repository

__all__ = ["index", "repository"]


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
    repository.write_app("accelerate\n", "pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime", "import torch\n")
    packages = installed(repository.build())

    assert (packages["torch"], packages["torchvision"]) == ("1.11.0+cpu", "0.12.0+cpu")
    assert packages["accelerate"] == "0.16"


@pytest.mark.needs("python3.8")
def test_requirements_replace_the_base_images_torch(repository: Repository, torch_indexes: PackageServer) -> None:
    repository.write_app("torch==1.13.1\n", "pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime")
    packages = installed(repository.build())

    assert packages["torch"] == "1.13.1+cpu"
    assert "torchvision" not in packages


@pytest.mark.parametrize("requirement", ["torch==1.13.1+cu117", "torch==1.13.1", "torch<2", "accelerate"])
def test_torch_is_installed_as_a_cpu_build_without_a_gpu(
    repository: Repository, torch_indexes: PackageServer, requirement: str
) -> None:
    repository.write_app(f"{requirement}\n")
    assert installed(repository.build())["torch"].endswith("+cpu")


def test_an_app_that_uses_no_torch_gets_none(repository: Repository, torch_indexes: PackageServer) -> None:
    repository.index.add_wheel("fruitbowl", "1.0")
    repository.write_app("fruitbowl\n", "pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime")
    assert "torch" not in installed(repository.build())


@pytest.mark.parametrize("requirement", ["torch==1.13.1", "accelerate"])
def test_without_an_index_of_cpu_builds_torch_is_an_error_and_not_cudas(
    repository: Repository, torch_indexes: PackageServer, requirement: str
) -> None:
    repository.write_app(f"{requirement}\n")
    with pytest.raises(BuildError) as error:
        repository.build(torch_index=torch_indexes.url("nowhere"))

    for part in ("this machine has no GPU", "nowhere/simple/torch/ answers 404", "[torch] wheels", "stand.toml"):
        assert part in str(error.value)
    assert repository.environments == []


def test_wheels_on_disk_stand_in_for_the_index_of_cpu_builds(
    repository: Repository, torch_indexes: PackageServer
) -> None:
    put(repository.folder, "torch", "2.13.0+cpu", HERE)
    repository.write_app("accelerate\ntorch==1.13.1\ntorchvision\n")
    packages = installed(
        repository.build(torch_index=torch_indexes.url("nowhere"), torch_wheels=(str(repository.folder),))
    )

    assert packages == {"accelerate": "0.16", "torch": "2.13.0+cpu"}
    assert "torch 2.13.0+cpu (torch-2.13.0+cpu-cp3" in repository.log
    assert "in the place of torch==1.13.1; torchvision left out" in repository.log
    assert "answers 404" in repository.log


def test_a_wheel_for_another_python_moves_the_python(repository: Repository, torch_indexes: PackageServer) -> None:
    put(repository.folder, "torch", "2.13.0+cpu", HERE)
    repository.write_app("", "pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime", "import torch\n")
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
    repository.write_app("torch==1.11.0\n")
    repository.build()

    warnings = [at for at, line in enumerate(repository.lines) if line.startswith("warning: torch 1.11.0")]
    starts = [at for at, line in enumerate(repository.lines) if line.startswith("environment: making")]
    assert warnings
    assert warnings[0] < starts[0]
    assert "compute capability 9.0" in repository.lines[warnings[0]]
    assert "the lowest that can is torch 2.0.0 with CUDA 11.8" in repository.lines[warnings[0]]


@pytest.mark.parametrize("option", ["--extra-index-url https://download.pytorch.org/whl/cu117",
                                    "-f https://download.pytorch.org/whl/torch_stable.html",
                                    "--index-url=https://download.pytorch.org/whl/cu117"])  # fmt: skip
def test_indexes_of_cudas_builds_are_passed_over_without_a_gpu(
    repository: Repository, torch_indexes: PackageServer, option: str
) -> None:
    repository.write_app(f"{option}\ntorch==1.13.1+cu117\n")
    assert installed(repository.build())["torch"] == "1.13.1+cpu"
    (repository.source / "Dockerfile").write_text(
        f"FROM python:3\nRUN pip install torch==1.13.1+cu117 {option}\nCOPY . .\nCMD python3 app.py\n"
    )
    assert installed(repository.build())["torch"] == "1.13.1+cpu"
    assert not list(repository.folder.rglob(".requirements.txt.*"))


def test_stand_toml_names_the_index_of_cpu_builds(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "stand.toml").write_text('[torch]\nindex = "http://127.0.0.1:9/mirror"\n')
    repository.write_app("torch==1.13.1\n")
    folder = tmp_path / "builds" / "one"
    folder.mkdir(parents=True)
    request = BuildRequest(str(repository.source), folder, "process", {}, {}, repository.lines.append)

    with pytest.raises(Refused, match=r"no CPU build of torch .* can be reached \(http://127.0.0.1:9/mirror/torch/"):
        asyncio.run(invoke(source_builder(tmp_path, (tmp_path,)), request))


async def invoke(builder: Builder, request: BuildRequest) -> Launch:
    return await builder(request)
