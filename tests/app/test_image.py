"""The image: what its files promise, and, built with buildah on a Debian made here and run, what it does."""

import base64
import io
import json
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from PIL import Image

import images
from bananastand.diffusion import find_model
from bananastand.diffusion.request import FIELDS
from images import buildah, image_of, pip_settings, real

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IMAGE = "bananastand:dev"
TOKEN = "hf_not_to_be_found_in_the_image"


def inputs() -> dict[str, dict[str, Any]]:
    config = json.loads((ROOT / "banana_config.json").read_text(encoding="utf-8"))
    assert config["version"] == "1"
    return {field["name"]: field for field in config["inputs"]}


def let_in() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    return [line[1:] for line in lines if line.startswith("!")]


def test_banana_config_names_the_fields_of_a_request() -> None:
    assert tuple(inputs()) == FIELDS
    assert [name for name, field in inputs().items() if field["required"]] == ["prompt"]


def test_banana_config_has_the_defaults_of_the_embedded_card() -> None:
    model = find_model("fruitstand")
    defaults = {name: field["default"] for name, field in inputs().items() if "default" in field}
    assert isinstance(defaults.pop("prompt"), str)  # it is required: Banana shows this one as an example
    assert defaults == {
        "num_inference_steps": model.steps.default,
        "guidance_scale": model.guidance.default,
        "width": model.size.default[0],
        "height": model.size.default[1],
        "num_images": 1,
        "format": "png",
    }
    assert f"a multiple of {model.size.multiple_of}." in inputs()["width"]["description"]


def test_packages_come_before_weights_and_weights_before_code() -> None:
    steps = ["pip install", "COPY --chown=banana models/", "python3 download.py", "COPY --chown=banana bananastand/"]
    places = [DOCKERFILE.index(step) for step in steps]
    assert places == sorted(places)
    before_code = DOCKERFILE[: places[-1]]
    assert re.findall(r"^COPY .*(?:bananastand|app\.py|banana_config).*", before_code, re.MULTILINE) == []


def test_no_secret_is_an_argument_or_in_the_environment() -> None:
    assert re.findall(r"^(?:ARG|ENV) .*(?:TOKEN|SECRET|PASSWORD|KEY).*", DOCKERFILE, re.MULTILINE | re.IGNORECASE) == []
    assert "--mount=type=secret,id=HF_TOKEN" in DOCKERFILE


def test_the_build_sees_what_the_dockerfile_copies_and_no_more() -> None:
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert set(let_in()) == {name.rstrip("/") for names in copied for name in names.split()}


def test_without_a_builder_it_says_what_to_do() -> None:
    environment = {"PATH": "/usr/bin:/bin", "BUILDER": "no-such-builder"}
    done = subprocess.run([ROOT / ".ci/image"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "none of no-such-builder works here" in done.stderr
    assert "apt-get install buildah" in done.stderr


# From here on for real: see images.py.


class App(NamedTuple):
    """The app, running in a container."""

    url: str
    process: psutil.Process
    container: str


@pytest.fixture(scope="module")
def image(base: str, options: list[str]) -> str:
    build(ROOT, options)
    return IMAGE


@pytest.fixture(scope="module")
def app(image: str, cache: Path) -> Iterator[App]:
    """The image's own command in a container, with a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command, container = inspect()["config"]["Cmd"], buildah("from", image)
    started = ["buildah", "run", f"--env=PORT={port}", container, "--", *command]
    with (cache / "app.log").open("wb") as log, subprocess.Popen(started, stdout=log, stderr=log) as outer:
        try:
            yield App(f"http://127.0.0.1:{port}", wait_for(port, command, outer, cache / "app.log"), container)
        finally:
            for process in psutil.Process(outer.pid).children(recursive=True):
                process.terminate()
            outer.wait(60)
            buildah("rm", container)


@real
def test_the_image_paints(app: App) -> None:
    body = json.dumps({"prompt": "two small red apples on a blue background", "seed": 7}).encode()
    request = urllib.request.Request(app.url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as response:
        status, answer = response.status, json.load(response)
    picture = Image.open(io.BytesIO(base64.b64decode(answer["output"])))
    picture.load()
    assert status == 200
    assert (picture.format, picture.size) == ("PNG", (128, 128))
    assert answer["images"][0]["seed"] == 7


@real
def test_its_health_check_succeeds_and_fails(app: App) -> None:
    kind, *command = inspect()["config"]["Healthcheck"]["Test"]
    port = app.url.rpartition(":")[2]
    assert kind == "CMD"
    assert subprocess.run(["buildah", "run", f"--env=PORT={port}", app.container, "--", *command]).returncode == 0
    assert subprocess.run(["buildah", "run", "--env=PORT=1", app.container, "--", *command]).returncode != 0


@real
def test_the_app_is_not_root(app: App) -> None:
    assert buildah("run", app.container, "--", "id", "-un") == "banana"
    assert app.process.uids().effective == int(buildah("run", app.container, "--", "id", "-u")) > 0


@real
def test_no_secret_and_nothing_of_this_machine_is_in_the_image(app: App, cache: Path) -> None:
    inspection = buildah("inspect", "--type=image", IMAGE)
    assert TOKEN not in inspection
    own = [
        value for key, value in pip_settings().items() if key in ("index-url", "extra-index-url", "find-links", "cert")
    ]
    assert [word for value in own for word in value.split() if word in inspection] == []
    search = f"""
        find /run/secrets /mnt /etc/pip.conf /opt/venv/pip.conf -type f
        grep -rlF {TOKEN} /app /etc /home /opt/huggingface /opt/locks /root /run /tmp /var
    """
    assert buildah("run", "--user=root", app.container, "--", "sh", "-c", f"({search}) 2> /dev/null; true") == ""


@real
def test_a_change_of_code_keeps_packages_and_weights(image: str, options: list[str], tmp_path: Path) -> None:
    before = layers()
    names = [".ci/image", "Dockerfile", ".dockerignore", *let_in()]
    subprocess.run(["cp", "--archive", "--parents", *names, str(tmp_path)], cwd=ROOT, check=True)
    with (tmp_path / "app.py").open("a", encoding="utf-8") as source:
        source.write("# changed\n")
    with (tmp_path / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write("# changed, but not in what is installed\n")
    build(tmp_path, options)
    after = layers()
    build(ROOT, options)  # the tag is the unchanged image's again
    weights = next(place for place, (step, _) in enumerate(before) if "download.py" in step)
    assert after[: weights + 1] == before[: weights + 1]
    assert after[-1] != before[-1]


def build(tree: Path, options: list[str]) -> None:
    images.build(tree, options, MODEL="fruitstand", HF_TOKEN=TOKEN)


def inspect() -> dict[str, Any]:
    return image_of(IMAGE)


def layers() -> list[tuple[str, str]]:
    """What made each layer, and its digest."""
    docker = inspect()
    steps = [step["created_by"] for step in docker["history"] if not step.get("empty_layer")]
    return list(zip(steps, docker["rootfs"]["diff_ids"], strict=True))


def wait_for(port: int, command: list[str], outer: subprocess.Popen[bytes], log: Path) -> psutil.Process:
    """The app's own process, as soon as it answers: the last with the command's arguments is inside the container."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and outer.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_k/status", timeout=5):
                inside = psutil.Process(outer.pid).children(recursive=True)
            return next(process for process in inside if process.cmdline()[1:] == command[1:])
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"the app does not answer:\n{log.read_text(encoding='utf-8')[-4_000:]}")
