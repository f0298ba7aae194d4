"""The container builder: base images by configuration, secrets in no layer; a demo as Banana had them, built twice."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.metadata
import io
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

import tiny
from bananastand.platform.building import BuildError, BuildSettings, build
from bananastand.platform.building.builder import source_builder
from bananastand.platform.building.deployer import BuildRequest
from bananastand.platform.errors import Refused
from bananastand.platform.launch import Launch
from images import BASE, buildah, image_of, pip_settings, real
from replicas import reply_of

DEMO = Path(__file__).resolve().parents[3] / "examples" / "banana-sdxl"
SECRET = "s3cret-not-to-be-found"


def build_now(source: Path, folder: Path, lines: list[str], **settings: Any) -> Launch:
    build_settings = BuildSettings(cache=folder / "cache", **settings)
    return asyncio.run(build(source, settings=build_settings, folder=folder / "build", log=lines.append))


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which there is no engine but those a test writes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("sh", "cat", "sleep", "env", "printf"):
        if found := shutil.which(program):
            (folder / program).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def source(folder: Path, dockerfile: str) -> Path:
    (folder / "source").mkdir()
    (folder / "source" / "Dockerfile").write_text(dockerfile)
    return folder / "source"


def write_engine(engines: Path, name: str, config: dict[str, Any]) -> None:
    """An engine that does nothing and describes its image by this configuration."""
    script = f"#!/bin/sh\n[ \"$1\" = image ] && echo '{json.dumps([{'Config': config}])}'\nexit 0\n"
    (engines / name).write_text(script)
    (engines / name).chmod(0o755)


@pytest.mark.parametrize(
    ("base", "image"),
    [
        ("pytorch/pytorch:1.11.0-cuda11.3", "mine:1"), ("docker.io/pytorch/pytorch:2", "mine:1"), ("python", "slim"),
        ("docker.io/library/python:latest", "slim"), ("python:3.12", None), ("pytorch/torchserve:1", None),
    ],
)  # fmt: skip
def test_a_configured_image_replaces_a_base_image(base: str, image: str | None, engines: Path, tmp_path: Path) -> None:
    write_engine(engines, "podman", {"Cmd": ["x"]})
    images = {"pytorch/pytorch:*": "mine:1", "python:latest": "slim", "*/pytorch:2": "never"}

    build_now(source(tmp_path, f"FROM {base}\nRUN make\n"), tmp_path, [], images=images)

    assert (tmp_path / "build" / "Dockerfile").read_text().splitlines()[0] == f"FROM {image or base}"


def test_configured_images_replace_only_from_lines_that_name_them(engines: Path, tmp_path: Path) -> None:
    write_engine(engines, "podman", {"Cmd": ["x"]})
    lines, first = list[str](), "FROM --platform=linux/amd64 pytorch/pytorch:$TAG AS one"
    text = f"ARG TAG=2\n{first}\nRUN <<EOF\nFROM pytorch/pytorch:2\nEOF\nFROM one\nFROM other\n"

    build_now(source(tmp_path, text), tmp_path, lines, images={"pytorch/pytorch:*": "mine:1"})

    written = (tmp_path / "build" / "Dockerfile").read_text().splitlines()
    expected = ["FROM mine:1 AS one", "FROM pytorch/pytorch:2", "FROM one", "FROM other"]
    assert [line for line in written if line.startswith("FROM ")] == expected
    assert "FROM pytorch/pytorch:2: mine:1 in its place, as configured" in lines


def test_a_container_build_without_an_engine_names_the_ways_on(engines: Path, tmp_path: Path) -> None:
    folder = source(tmp_path, "FROM python:3\nRUN make\nCMD x\n")
    with pytest.raises(BuildError, match="none of docker, podman, buildah works here; start Docker, or install one"):
        build_now(folder, tmp_path, [], builder="container")
    with pytest.raises(BuildError, match="line 2: RUN make: "):
        build_now(folder, tmp_path, [], builder="auto")


def test_a_container_build_uses_the_first_engine_that_answers(engines: Path, tmp_path: Path) -> None:
    """Its words are checked on a program that stands in for it; what an engine does of them, below."""
    config = {"Entrypoint": ["python3"], "Cmd": ["app.py"], "WorkingDir": "/app", "ExposedPorts": {"8000/tcp": {}}}
    script = f"""#!/bin/sh
case "$1" in
    info) exit 0 ;;
    build) printf '%s\\n' "$@" > {tmp_path}/words; env > {tmp_path}/env; echo "said $BANANASTAND_SECRET_0" ;;
    image) echo '{json.dumps([{"Config": config}])}' ;;
esac
"""
    for name, text in (("docker", "#!/bin/sh\nexit 1\n"), ("podman", script)):
        (engines / name).write_text(text)
        (engines / name).chmod(0o755)
    lines = list[str]()
    launch = build_now(
        source(tmp_path, "ARG A=0\nFROM python:3\nARG B\nRUN make\n"),
        tmp_path,
        lines,
        environment={"A": "1", "B": "2", "C": "3"},
        secrets={"TOKEN": SECRET},
    )

    words = (tmp_path / "words").read_text().split("\n")
    assert launch.command == ("python3", "app.py")
    assert (launch.kind, launch.engine, launch.workdir, launch.port) == ("container", "podman", "/app", 8000)
    assert launch.environment == {"A": "1", "B": "2", "C": "3"}
    assert launch.image == words[words.index("--tag") + 1]
    assert [word for word in words if word in ("A=1", "B=2", "C=3")] == ["A=1", "B=2"]
    assert "id=TOKEN,env=BANANASTAND_SECRET_0" in words
    assert SECRET not in "".join(words) + "".join(lines) + launch.to_json()
    assert f"BANANASTAND_SECRET_0={SECRET}" in (tmp_path / "env").read_text()
    assert "said ***" in lines


def test_stand_toml_replaces_base_images_and_mistakes_in_it_are_named(engines: Path, tmp_path: Path) -> None:
    """stand.toml of the data directory, as `bananastand up` reads it for each build."""
    write_engine(engines, "podman", {"Cmd": ["python3", "app.py"]})
    repository, data = source(tmp_path, "FROM pytorch/pytorch:2.4.0-cuda12.1-cudnn9-runtime\n"), tmp_path / "data"
    data.mkdir()
    make, lines = source_builder(data, (tmp_path,)), list[str]()

    def built(number: int) -> Launch:
        folder = data / "builds" / str(number)
        folder.mkdir(parents=True)
        return asyncio.run(make(BuildRequest(str(repository), folder, "container", {}, {}, lines.append)))  # type: ignore[arg-type]

    (data / "stand.toml").write_text('[images]\n"pytorch/pytorch:*" = "localhost/small-base"\n')
    assert built(1).engine == "podman"
    assert any(line.endswith("localhost/small-base in its place, as configured") for line in lines)
    wrong = {b"[images": "cannot be read", b"[images]\na = 1\n": "must give an image's name", b"\xff": "cannot be read",
             b"[torch]\nindex = 1\n": "takes index", b"torch = 1\n": "takes index",
             b"[torch]\nwheels = [1]\n": "takes index"}  # fmt: skip
    for number, (text, message) in enumerate(wrong.items(), 2):
        (data / "stand.toml").write_bytes(text)
        with pytest.raises(Refused, match=message):
            built(number)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SDXL pipeline with random weights."""
    folder = tmp_path_factory.mktemp("pipeline")
    tiny.stable_diffusion_xl(folder / "tokenizer").save_pretrained(folder / "tiny")
    return folder / "tiny"


def paint(port: int, process: subprocess.Popen[bytes], log: Path) -> Image.Image:
    body = json.dumps({"prompt": "a red apple", "steps": 2, "seed": 1}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", body, {"Content-Type": "application/json"})
    until = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return Image.open(io.BytesIO(base64.b64decode(json.load(answer)["output"])))
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.3)


@contextlib.contextmanager
def started(command: list[str], log: Path, **words: Any) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, **words) as process:
        try:
            yield process
        finally:
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.terminate()  # buildah unmounts when its command has ended
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


INPUTS = {"prompt": "a red apple", "steps": 2, "seed": 1}


def picture(launch: Launch) -> Image.Image:
    """What a replica of the launch paints."""
    return Image.open(io.BytesIO(base64.b64decode(reply_of(launch, INPUTS)["output"])))


@pytest.mark.slow
def test_the_demo_built_by_the_process_builder_paints(pipeline: Path, tmp_path: Path) -> None:
    launch = build_now(DEMO, tmp_path, [], builder="process", environment={"MODEL": str(pipeline)})

    assert launch.command == ("python3", "-u", "app.py")
    assert launch.port == 8000
    assert picture(launch).size == (32, 32)


@real
def test_the_demo_built_by_buildah_on_a_mapped_base_paints(
    base: str, cache: Path, options: list[str], pipeline: Path, tmp_path: Path
) -> None:
    lines, log = list[str](), tmp_path / "app.log"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 8000)) != 0, "the app fixes its port, and port 8000 is taken"
    volumes = [*options, f"--volume={cache}/pip.conf:/etc/pip.conf:ro", f"--volume={pipeline}:{pipeline}:ro"]
    for word in pip_settings().get("find-links", "").split():
        if Path(word).is_dir():
            volumes += [f"--volume={word}:{word}:ro", f"--env=PIP_FIND_LINKS={word}"]
    demo = tmp_path / "demo"
    shutil.copytree(DEMO, demo)
    (demo / "see.py").write_text("print('seen', open('/run/secrets/TOKEN').read())\n")
    text = (demo / "Dockerfile").read_text()
    (demo / "Dockerfile").write_text(text.replace("EXPOSE", "RUN --mount=type=secret,id=TOKEN python3 see.py\nEXPOSE"))
    launch = build_now(
        demo,
        tmp_path,
        lines,
        builder="container",
        engine="buildah",
        images={"pytorch/pytorch:*": own_base(volumes)},
        environment={"MODEL": str(pipeline)},
        secrets={"TOKEN": SECRET},
        engine_options=tuple(volumes),
    )
    assert launch.image is not None
    configuration = json.dumps(image_of(launch.image))
    assert (launch.engine, launch.workdir, launch.port) == ("buildah", "/", 8000)
    assert launch.command[-1].endswith("python3 -u app.py")
    assert SECRET not in configuration + "\n".join(lines) + launch.to_json()
    assert "seen ***" in lines
    container = buildah("from", launch.image)
    try:
        run = ["buildah", "run", f"--volume={pipeline}:{pipeline}:ro", container, "--", *launch.command]
        with started(run, log) as process:
            assert paint(8000, process, log).size == (32, 32)
    finally:
        buildah("rm", container)


def own_base(volumes: list[str]) -> str:
    """The Debian of these tests with torch, where pip may install beside Debian's packages: as PyTorch's images are."""
    name = f"{BASE}-torch"
    if subprocess.run(["buildah", "inspect", "--type=image", name], capture_output=True).returncode:
        container = buildah("from", BASE)
        buildah("config", "--env=PIP_BREAK_SYSTEM_PACKAGES=1", container)
        torch = f"torch=={importlib.metadata.version('torch').partition('+')[0]}"
        buildah("run", *volumes, container, "--", "pip3", "install", "--no-cache-dir", torch, "numpy", "pillow")
        buildah("commit", "--quiet", "--rm", container, name)
    return name


def test_what_init_writes_is_built_and_paints(tmp_path: Path) -> None:
    run = [sys.executable, "-c", "from bananastand.cli import main; main()", "init", str(tmp_path / "my-app")]
    subprocess.run(run, check=True, capture_output=True)
    launch = build_now(tmp_path / "my-app", tmp_path, [], builder="process")

    assert launch.command == ("python3", "-u", "app.py")
    assert picture(launch).size == (128, 128)


HELLO = """
from potassium import Potassium, Request, Response
app = Potassium("hello")

@app.init
def init():
    return {}

@app.handler("/")
def handler(context: dict, request: Request) -> Response:
    return Response(json={"hello": request.json["name"]}, status=200)

if __name__ == "__main__":
    app.serve()
"""


@pytest.mark.slow
def test_an_app_answers_from_an_environment_with_its_pins_and_nothing_of_ours(tmp_path: Path) -> None:
    folder = source(
        tmp_path, 'FROM python:3\nWORKDIR /app\nCOPY . .\nRUN pip install -r r.txt\nCMD ["python3", "app.py"]\n'
    )
    (folder / "r.txt").write_text("potassium==0.5.0\nclick==8.1.3\n")
    (folder / "app.py").write_text(HELLO)
    launch = build_now(folder, tmp_path, [], builder="process", adopt=())

    python = str(launch.python)
    assert python.startswith(str(tmp_path / "cache" / "environments"))
    names = "import importlib.metadata as m; print(*sorted(d.metadata['Name'].lower() for d in m.distributions()))"
    plain = {name: value for name, value in launch.environment.items() if name != "PYTHONPATH"}
    installed = subprocess.run([python, "-c", names], cwd="/", env=plain, capture_output=True, text=True).stdout.split()
    assert {"potassium", "click", "flask"} <= set(installed)
    assert not {"bananastand", "uvicorn", "typer", "prometheus-client", "rich"} & set(installed)
    assert reply_of(launch, {"name": "you"}) == {"hello": "you"}
