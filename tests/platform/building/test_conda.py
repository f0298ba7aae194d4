"""Environments made by micromamba or conda: with a program that takes their words, notes them and makes a venv."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from bananastand.platform.building import BuildError
from bananastand.platform.building.environments.conda_environment import conda_specs
from platform_builds import Bench, wheel

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ENVIRONMENT = f"""name: ldm
channels:
  - pytorch
  - conda-forge
dependencies:
  - python={PYTHON}
  - cudatoolkit=11.3
  - conda-forge::peel=1.0
  - ffmpeg
  - pip:
    - stone==1.0
"""
# `create --prefix FOLDER ... SPEC` as micromamba and conda have it, with packages that are empty modules.
PROGRAM = f"""#!{sys.executable}
import json, os, pathlib, re, subprocess, sys
words = sys.argv[1:]
assert words[0] == "create" and "--yes" in words, words
with open({{log!r}}, "a") as log:
    log.write(json.dumps([pathlib.Path(sys.argv[0]).name, *words]) + "\\n")
if any("nosuch" in word for word in words):
    sys.exit("error    libmamba Could not solve for environment specs: nosuch does not exist")
folder = pathlib.Path(words[words.index("--prefix") + 1])
subprocess.run([{sys.executable!r}, "-m", "venv", "--without-pip", str(folder)], check=True)
site = next(folder.glob("lib/python3*/site-packages"))
for word in words:
    if found := re.fullmatch(r"(?:[a-z-]+::)?(peel|rind)(?:=.*)?", word):
        (site / (found[1] + ".py")).write_text("by = 'conda'")
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, sandboxed=False)
    wheel(bench.wheels, "stone", "1.0")
    return bench


def conda(bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str = "micromamba") -> Path:
    """Puts the program on PATH under a name; the file that it writes its words to."""
    folder, log = bench.folder / "programs", bench.folder / "conda.log"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(PROGRAM.format(log=str(log)))
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return log


def commands(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def build(bench: Bench, line: str, code: str, toml: str = "") -> str:
    bench.write({"environment.yml": ENVIRONMENT, "app.py": code, "bananastand.toml": toml})
    launch = bench.build(
        f"FROM continuumio/miniconda3:4.12.0\n{bench.pip_line}WORKDIR /app\nCOPY . .\n{line}\n"
        'CMD ["conda", "run", "-n", "ldm", "python", "app.py"]\n'
    )
    return bench.ran(launch)


@pytest.mark.needs("uv")
def test_micromamba_installs_an_environment_file_with_its_channels(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = conda(bench, monkeypatch)

    said = build(bench, "RUN conda env create -f environment.yml", "import peel, stone; print(peel.by, stone.version)")

    assert said == "conda 1.0"  # peel by conda, stone by pip into the same environment
    ((program, *words),) = commands(log)
    assert program == "micromamba"
    assert words[words.index("--override-channels") :] == [
        "--override-channels", "--channel", "pytorch", "--channel", "conda-forge", f"python={PYTHON}", "pip",
        "conda-forge::peel=1.0", "ffmpeg",
    ]  # fmt: skip
    assert "micromamba installs it, before pip's packages" in bench.log


@pytest.mark.needs("uv")
def test_several_lines_of_conda_make_one_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    log = conda(bench, monkeypatch, "conda")
    line = f"RUN conda create -y -n app python={PYTHON} peel=1\nRUN conda install -y -c fruit rind && pip install stone"

    assert build(bench, line, "import peel, rind, stone; print(rind.by)") == "conda"

    ((program, *words),) = commands(log)
    assert program == "conda"
    assert words[-4:] == [f"python={PYTHON}", "pip", "peel=1", "rind"]
    assert words[words.index("--channel") + 1] == "fruit"


@pytest.mark.needs("uv")
def test_the_same_packages_make_no_second_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    log = conda(bench, monkeypatch)
    line = f"RUN conda create -y -n app python={PYTHON} peel"
    for _ in range(2):
        build(bench, line, "import peel; print(peel.by)")
    assert len(commands(log)) == 1

    build(bench, line.replace("peel", "peel rind"), "import rind; print(rind.by)")
    assert len(commands(log)) == 2


@pytest.mark.needs("uv")
def test_packages_unknown_to_conda_fail_the_build_with_the_way_round(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    conda(bench, monkeypatch)

    with pytest.raises(BuildError) as failed:
        build(bench, f"RUN conda create -n app python={PYTHON} nosuch", "")

    assert "micromamba create ended with status 1: error    libmamba Could not solve" in str(failed.value)
    assert "bananastand.toml: [build] conda = false" in str(failed.value)
    assert not list((bench.folder / "cache" / "environments").glob("*/bin"))


@pytest.mark.needs("uv")
def test_bananastand_toml_can_turn_conda_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    log = conda(bench, monkeypatch)
    wheel(bench.wheels, "peel", "1.0")

    said = build(bench, f"RUN conda create -n app python={PYTHON} peel=1.0", "import peel; print(peel.version)",
                 "[build]\nconda = false\n")  # fmt: skip

    assert said == "1.0"
    assert not log.exists()


@pytest.mark.parametrize(
    ("specs", "gpu", "expected"),
    [
        ("python=3.8 pytorch::pytorch=1.11 torchvision cudatoolkit=11.3 faiss-cpu", False, "faiss-cpu"),
        ("pytorch-cuda=11.7 nvidia::cuda-nvcc cudnn numpy=1.23 openssl", False, "numpy=1.23 openssl"),
        ("python=3.8 pytorch=1.11 cudatoolkit=11.3 faiss-gpu", True, "pytorch=1.11 cudatoolkit=11.3 faiss-gpu"),
        ("pytorch-lightning torchmetrics 'numpy>=1.21'", False, "pytorch-lightning torchmetrics 'numpy>=1.21'"),
    ],
)
def test_torch_and_cuda_are_left_to_conda_only_with_a_gpu(specs: str, gpu: bool, expected: str) -> None:
    assert conda_specs(tuple(shlex.split(specs)), gpu) == tuple(shlex.split(expected))
