"""What is known of base images, GPUs and Dockerfile lines, and how a package's files tell its Pythons."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from bananastand.platform.building.environments.base_images import (
    base_image,
    newest_python,
    newest_torch,
    packages_of_torch,
)
from bananastand.platform.building.environments.gpu_support import cuda_of, drives, lowest_torch, unsupported
from bananastand.platform.building.environments.installer import words_for_uv
from bananastand.platform.building.environments.package_index import PackageIndex, format_minors, pythons_of
from bananastand.platform.building.environments.pythons import (
    available_interpreters,
    find_interpreter,
    python_of_lines,
    python_of_source,
)
from bananastand.platform.building.environments.requirements import PipCall
from package_server import PackageServer, put


@pytest.mark.parametrize(
    ("name", "python", "exact", "cuda", "packages"),
    [
        # Banana's own template.
        ("pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime", "3.8", False, "11.3", "torch==1.11.0 torchvision==0.12.0"),
        ("docker.io/pytorch/pytorch:1.9.0-cuda10.2-cudnn7-devel", "3.7", False, "10.2",
         "torch==1.9.0 torchvision==0.10.0"),
        # As users of the images report `python --version` of them.
        ("pytorch/pytorch:1.6.0-cuda10.1-cudnn7-devel", "3.7", False, "10.1", "torch==1.6.0 torchvision==0.7.0"),
        ("pytorch/pytorch:1.7.1-cuda11.0-cudnn8-runtime", "3.8", False, "11.0", "torch==1.7.1 torchvision==0.8.2"),
        ("pytorch/pytorch:1.8.1-cuda11.1-cudnn8-runtime", "3.8", False, "11.1", "torch==1.8.1 torchvision==0.9.1"),
        ("pytorch/pytorch:1.8.1-cuda10.2-cudnn7-runtime", "3.7", False, "10.2", "torch==1.8.1 torchvision==0.9.1"),
        ("pytorch/pytorch:1.12.0-cuda11.3-cudnn8-devel", "3.7", False, "11.3", "torch==1.12.0 torchvision==0.13.0"),
        ("continuumio/miniconda3:4.3.14", "3.6", False, None, ""),
        ("continuumio/miniconda3:4.10.3", "3.9", False, None, ""),
        ("continuumio/miniconda3:22.11.1", "3.10", False, None, ""),
        ("nvcr.io/nvidia/pytorch:20.06-py3", "3.6", False, None, "torch==1.6.0 torchvision==0.7.0"),
        ("pytorch/pytorch:1.13.1-cuda11.6-cudnn8-runtime", "3.10", False, "11.6",
         "torch==1.13.1 torchvision==0.14.1 torchaudio==0.13.1"),
        ("pytorch/pytorch:2.0.1-cuda11.7-cudnn8-devel", "3.10", False, "11.7",
         "torch==2.0.1 torchvision==0.15.2 torchaudio==2.0.2"),
        ("pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime@sha256:abc", "3.11", False, "12.4",
         "torch==2.5.1 torchvision==0.20.1 torchaudio==2.5.1"),
        ("pytorch/pytorch:2.10.0-cuda13.0-cudnn9-devel", "3.12", False, "13.0",
         "torch==2.10.0 torchvision==0.25.0 torchaudio==2.10.0"),
        ("pytorch/pytorch:latest", None, False, None, "torch torchvision"),
        ("nvidia/cuda:11.6.2-cudnn8-devel-ubuntu20.04", "3.8", False, "11.6", ""),
        ("nvidia/cuda:10.2-base-ubuntu18.04", "3.6", False, "10.2", ""),
        ("nvcr.io/nvidia/cuda:12.1.0-runtime-ubuntu22.04", "3.10", False, "12.1", ""),
        ("python:3.8-slim-buster", "3.8", True, None, ""),
        ("docker.io/library/python:3.10.6", "3.10", True, None, ""),
        ("python:3", None, False, None, ""),
        ("ubuntu:20.04", "3.8", False, None, ""),
        ("ubuntu:jammy", "3.10", False, None, ""),
        ("debian:bullseye-slim", "3.9", False, None, ""),
        ("continuumio/miniconda3:4.12.0", "3.9", False, None, ""),
        ("nvcr.io/nvidia/pytorch:22.05-py3", "3.8", False, None, "torch==1.12.0 torchvision==0.13.0"),
        ("huggingface/transformers-pytorch-gpu:4.28.1", "3.8", False, None,
         "torch torchvision torchaudio transformers==4.28.1"),
        ("runpod/pytorch:2.0.1-py3.10-cuda11.8.0-devel-ubuntu22.04", "3.10", True, "11.8",
         "torch==2.0.1 torchvision==0.15.2 torchaudio==2.0.2"),
        ("tiangolo/uvicorn-gunicorn-fastapi:python3.8", "3.8", True, None, ""),
    ],
)  # fmt: skip
def test_published_images_are_known_by_their_names(
    name: str, python: str | None, exact: bool, cuda: str | None, packages: str
) -> None:
    image = base_image(name)
    assert (image.python, image.exact, image.cuda, " ".join(image.packages)) == (python, exact, cuda, packages)
    assert image.known


@pytest.mark.parametrize(
    "name", ["someone/app:1", "node:18", "registry.example:5000/their/image", "pytorch/pytorch:0.0.9-x"]
)
def test_an_unknown_image_has_no_python(name: str) -> None:
    image = base_image(name)
    assert (image.known, image.python) == (False, None)


def test_image_names_without_a_version_mean_the_newest_of_the_date() -> None:
    assert base_image("python:3", date(2022, 6, 1)).python == "3.10"
    assert base_image("pytorch/pytorch", date(2023, 1, 1)).packages[0] == "torch==1.13.1"
    assert newest_python(None) is None
    assert newest_torch(date(2022, 12, 14)) == "1.13.0"
    assert packages_of_torch("9.9.9") == ("torch==9.9.9",)


@pytest.mark.parametrize(
    ("torch", "base", "cuda"),
    [
        ("1.11.0", "11.3", "11.3"), ("1.11.0", None, "10.2"), ("1.13.1", None, "11.7"), ("2.1.0", None, "12.1"),
        ("2.0.1+cu118", None, "11.8"), ("1.12.1+cu113", "11.6", "11.3"), ("2.0.1+cpu", "11.7", None),
    ],
)  # fmt: skip
def test_cuda_version_follows_from_torch_and_base_image(torch: str, base: str | None, cuda: str | None) -> None:
    assert cuda_of(torch, base) == cuda


@pytest.mark.parametrize(
    ("cuda", "capability", "works"),
    [
        ("11.3", "9.0", False), ("11.3", "8.6", True), ("11.3", "8.9", True), ("10.2", "8.0", False),
        ("10.2", "7.5", True), ("11.7", "9.0", False), ("11.8", "9.0", True), ("12.1", "9.0", True),
        ("12.6", "12.0", False), ("12.8", "12.0", True), ("12.8", "6.1", False), ("12.1", "3.7", False),
    ],
)  # fmt: skip
def test_cuda_version_decides_which_gpus_are_supported(cuda: str, capability: str, works: bool) -> None:
    assert drives(cuda, capability) is works


@pytest.mark.parametrize(("torch", "works"), [("2.7.1", False), ("2.8.0", True), ("2.10.0", True), ("2.11.0", False)])
def test_volta_came_back_to_cuda_12_8_and_left_again(torch: str, works: bool) -> None:
    assert (unsupported(torch, "12.8", ("7.0",)) is None) is works


@pytest.mark.parametrize(("day", "python"), [("2021-09-01", "3.9"), ("2023-02-01", "3.10"), ("2018-01-01", "3.6")])
def test_latest_means_the_image_of_the_date(day: str, python: str) -> None:
    assert base_image("continuumio/miniconda3", date.fromisoformat(day)).python == python


def test_an_h100_needs_torch_2_with_cuda_11_8() -> None:
    assert lowest_torch("9.0") == ("2.0.0", "11.8")
    assert lowest_torch("12.0") == ("2.7.0", "12.8")
    assert lowest_torch("2.0") is None
    said = unsupported("1.11.0", "11.3", ("9.0",))
    assert said is not None
    assert "compiled for sm_37 to sm_86" in said
    assert unsupported("1.11.0", "11.3", ("8.0",)) is None
    assert unsupported("1.11.0", "11.3", ()) is None
    assert unsupported("2.0.1+cpu", None, ("9.0",)) is None


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("RUN apt-get update && apt-get install -y git python3.9 python3.9-dev", "3.9"),
        ("RUN ln -sf /usr/bin/python3.8 /usr/bin/python3", "3.8"),
        ("RUN update-alternatives --install /usr/bin/python3 python3 /usr/bin/python3.10 1", "3.10"),
        ("RUN conda create -y -n app python=3.8 pip", "3.8"),
        ("RUN conda install python==3.9.12", "3.9"),
        ("RUN pyenv install 3.8.10 && pyenv global 3.8.10", "3.8"),
        ("RUN python3.7 -m pip install torch", "3.7"),
        ("RUN uv venv --python 3.10 /venv", "3.10"),
        ('CMD ["python3.9", "-u", "app.py"]', "3.9"),
        ("CMD python3 -u app.py", None),
        ("RUN apt-get install -y python3-pip python3", None),
        ("RUN echo python 3.9", None),
        ("COPY python3.9 /x", None),
        ("RUN pip install torch==1.11.0", None),
    ],
)
def test_dockerfile_lines_that_choose_a_python(line: str, version: str | None) -> None:
    found = python_of_lines([(7, line)])
    assert (None if found is None else found.version) == version
    if found is not None:
        assert (found.reason, found.exact) == ("Dockerfile line 7", True)


def test_the_last_line_decides_and_arguments_have_their_values() -> None:
    lines = [(2, "ARG PYTHON=3.8"), (3, "RUN apt-get install -y python3.7"), (4, "RUN apt install -y python${PYTHON}")]
    found = python_of_lines(lines)
    assert found is not None
    assert (found.version, found.reason) == ("3.8", "Dockerfile line 4")


@pytest.mark.parametrize(
    ("file", "text", "version"),
    [
        (".python-version", "3.9.13\n", "3.9"),
        ("pyproject.toml", '[project]\nname = "x"\nrequires-python = ">=3.7,<3.9"\n', "3.8"),
        ("pyproject.toml", '[project]\nname = "x"\nrequires-python = ">=3.8"\n', "3.11"),
        ("setup.cfg", "[options]\npython_requires = ~=3.7.1\n", "3.7"),
        ("pyproject.toml", "no toml", None),
        ("README.md", "", None),
    ],
)
def test_python_version_is_read_from_repository_files(
    tmp_path: Path, file: str, text: str, version: str | None
) -> None:
    (tmp_path / file).write_text(text)
    if file == "setup.cfg":
        (tmp_path / "setup.py").write_text("")
    found = python_of_source(tmp_path, 11)
    assert (None if found is None else found.version) == version


async def test_interpreters_of_this_machine_are_found(tmp_path: Path) -> None:
    import sys

    own = f"3.{sys.version_info[1]}"
    found = await find_interpreter(own, tmp_path)
    assert found is not None
    assert found.version.startswith(own)
    assert await find_interpreter("3.99", tmp_path) is None
    assert own in {
        ".".join(interpreter.version.split(".")[:2]) for interpreter in await available_interpreters(tmp_path)
    }


def test_an_index_tells_the_pythons_of_a_version(tmp_path: Path) -> None:
    with PackageServer() as server:
        for tag in ("cp36-cp36m", "cp37-cp37m", "cp38-cp38"):
            server.add_wheel("tokens", "0.10.3", tag=f"{tag}-manylinux_2_12_x86_64", uploaded="2021-05-24T10:00:00Z")
        server.add_wheel("tokens", "0.10.3", tag="cp311-cp311-win_amd64")
        server.add_wheel("tokens", "0.11", tag="cp37-abi3-manylinux_2_12_x86_64", uploaded="2022-01-24T10:00:00Z")
        put(tmp_path, "tokens", "0.12")
        index = PackageIndex((server.url(), server.url("other")), (str(tmp_path),))
        files = index.files("Tokens")

    old = [file for file in files if str(file.version) == "0.10.3"]
    assert pythons_of(old) == ({6, 7, 8}, set())
    assert format_minors(pythons_of(old)[0] | {11}) == "3.6-3.8, 3.11"
    assert pythons_of(files, datetime(2021, 6, 1, tzinfo=UTC))[0] >= {6, 7, 8}
    abi3 = [file for file in files if str(file.version) == "0.11"]
    assert 6 not in pythons_of(abi3)[0]
    assert {7, 13} <= pythons_of(abi3)[0]
    assert str(max(file.version for file in files)) == "0.12"


def test_an_index_in_html_is_read_too(tmp_path: Path) -> None:
    folder = tmp_path / "simple" / "fruit"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(
        '<a href="../../f/x.whl#sha256=0">fruit-1.0-cp38-cp38-manylinux1_x86_64.whl</a>'
        '<a data-requires-python="&gt;=3.9" href="fruit-1.1.tar.gz">fruit-1.1.tar.gz</a>'
    )
    one, two = PackageIndex(((tmp_path / "simple").as_uri(),)).files("fruit")
    assert one.pythons == {8}
    assert (two.tags, 8 in two.pythons, 9 in two.pythons) == (frozenset(), False, True)


@pytest.mark.parametrize(
    ("pip", "uv"),
    [
        ("install --user --no-cache-dir -r requirements.txt", "install -r requirements.txt"),
        ("install --timeout 100 --retries=5 -U numpy", "install -U numpy"),
        ("-q install --disable-pip-version-check torch==1.11.0", "install torch==1.11.0"),
        ("install --no-deps --no-deps x", "install --no-deps x"),
        ("install --force-reinstall x -f https://a.example/x.html", "install --reinstall x -f https://a.example/x.html"),
        ("install --trusted-host a --extra-index-url https://a/ x",
         "install --allow-insecure-host a --extra-index-url https://a/ x"),
        ("uninstall -y x", "uninstall x"),
        ("install -I --upgrade-strategy eager --root-user-action=ignore install", "install install"),
    ],
)  # fmt: skip
def test_pip_options_are_translated_for_uv(pip: str, uv: str) -> None:
    assert words_for_uv(pip.split()) == uv.split()


def test_a_requirement_is_found_with_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "requirements.txt").write_text("# ours\nnumpy==1.21  # fast\n-r more/base.txt\n--extra-index-url x\n")
    (tmp_path / "more" / "base.txt").write_text("\ntorch\n")
    call = PipCall(("install", "--no-cache-dir", "-r", "requirements.txt", "pillow"), tmp_path, line=4)
    assert list(call.places()) == [
        ("requirements.txt line 2", "numpy==1.21"),
        ("more/base.txt line 2", "torch"),
        ("Dockerfile line 4", "pillow"),
    ]


def test_a_file_of_requirements_from_windows_is_read(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes("torch==1.11.0\r\nnumpy\r\n".encode("utf-16"))
    call = PipCall(("install", "-r", "requirements.txt"), tmp_path)
    assert call.read() == (["torch==1.11.0", "numpy"], [], [])
    assert [place for place, _ in call.places()] == ["requirements.txt line 1", "requirements.txt line 2"]
