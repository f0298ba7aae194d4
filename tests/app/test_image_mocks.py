"""The image of the mocks alone: what its files promise, and, built with buildah and run, what it does."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from images import ROOT, build, buildah, image_of, pip_settings, real
from tools.locks import entries

FILE = (ROOT / "mocks" / "Dockerfile").read_text(encoding="utf-8")
IMAGE = "bananastand-mocks:dev"
TOKEN = "at_r0123456789abcdef0123456789abcdef"
BIG = ("torch", "diffusers", "transformers", "safetensors", "huggingface_hub", "potassium", "prometheus_client")


def test_it_installs_the_mocks_extra_and_nothing_big() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {canonicalize_name(Requirement(extra).name) for extra in project["optional-dependencies"]["mocks"]}
    names = {canonicalize_name(name) for name, _ in entries((ROOT / "locks" / "mocks.txt").read_text("utf-8"))}

    assert "--require-hashes --requirement /opt/locks/mocks.txt" in FILE
    assert required <= names
    assert names.isdisjoint(map(canonicalize_name, BIG))
    assert {"httpcore2", "httpx2", "numpy", "pillow", "rich", "typer"} <= names


def test_what_it_copies_is_let_in() -> None:
    lines = (ROOT / "mocks" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", FILE, re.MULTILINE)
    assert {line[1:] for line in lines if line.startswith("!")} == {
        name.rstrip("/") for names in copied for name in names.split()
    }


def test_no_secret_is_an_argument_or_in_the_environment() -> None:
    assert re.findall(r"^(?:ARG|ENV) .*(?:TOKEN|SECRET|PASSWORD|KEY).*", FILE, re.MULTILINE | re.IGNORECASE) == []


@pytest.mark.parametrize("builder", ["docker", "buildah"])
def test_the_script_of_make_image_builds_this_file(tmp_path: Path, builder: str) -> None:
    fake = tmp_path / builder
    fake.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    fake.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "BUILDER": builder, "FILE": "mocks/Dockerfile", "TAG": IMAGE}
    done = subprocess.run([ROOT / ".ci/image"], env=environment, capture_output=True, text=True, check=True)

    assert f"--tag {IMAGE} --file mocks/Dockerfile" in done.stdout
    assert ("--ignorefile mocks/Dockerfile.dockerignore" in done.stdout) == (builder == "buildah")
    assert done.stdout.endswith(" .\n")


def test_its_command_serves_without_the_big_packages(tmp_path: Path) -> None:
    """As in the image: the copied sources, the command of the file, and none of what it does not install."""
    ignored = shlex.join(["bananastand/diffusion", "bananastand/serving"])
    for source, to in (("bananastand", "bananastand"), ("mocks/bananastand_mocks", "mocks/bananastand_mocks")):
        (tmp_path / to).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--recursive", str(ROOT / source), str(tmp_path / to)], check=True)
    subprocess.run(f"rm -r {ignored}", shell=True, cwd=tmp_path, check=True)
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nfor name in {BIG!r}:\n    sys.modules[name] = None\n", encoding="utf-8"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (entry,) = re.findall(r"^ENTRYPOINT (\[.+\])$", FILE, re.MULTILINE)
    _, *command = json.loads(entry)
    command[command.index("0.0.0.0")] = "127.0.0.1"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{tmp_path / 'mocks'}"}
    process = subprocess.Popen([sys.executable, *command, "--port", str(port)], cwd=tmp_path, env=environment)
    try:
        wait_for(port, process)
        assert picture_of(port)
    finally:
        process.terminate()
        process.wait(20)


def wait_for(port: int, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stand/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the mocks do not answer")


def picture_of(port: int) -> str:
    body = json.dumps({"modelKey": "value", "modelInputs": {"prompt": "a ripe banana"}}).encode()
    url = f"http://127.0.0.1:{port}/lowcodeapi/bananadev/v1/run?api_token={TOKEN}"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["result"]["modelOutputs"][0]["output"]


@pytest.fixture(scope="module")
def served(base: str, options: list[str], cache: Path) -> Iterator[tuple[int, str]]:
    """The port and the container of the image's own command, running."""
    build(ROOT, options, FILE="mocks/Dockerfile", TAG=IMAGE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    container = buildah("from", IMAGE)
    command = ["buildah", "run", container, "--", *image_of(IMAGE)["config"]["Entrypoint"], "--port", str(port)]
    with (cache / "mocks.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as outer:
        try:
            wait_for(port, outer)
            yield port, container
        finally:
            for process in psutil.Process(outer.pid).children(recursive=True):
                process.terminate()
            outer.wait(60)
            buildah("rm", container)


@real
def test_the_image_of_the_mocks_draws(served: tuple[int, str]) -> None:
    assert picture_of(served[0])


@real
def test_no_torch_and_no_root_is_in_it(served: tuple[int, str]) -> None:
    _, container = served
    installed = buildah("run", container, "--", "python3", "-m", "pip", "list", "--format=freeze").lower()
    assert [name for name in BIG if f"{name}==" in installed.replace("-", "_")] == []
    assert buildah("run", container, "--", "id", "-un") == "mocks"


@real
def test_nothing_of_this_machine_is_in_it(served: tuple[int, str]) -> None:
    inspection = buildah("inspect", "--type=image", IMAGE)
    own = [value for key, value in pip_settings().items() if key in ("index-url", "extra-index-url", "find-links")]
    assert [word for value in own for word in value.split() if word in inspection] == []
