"""CMD and ENTRYPOINT: what is started, in which folder, and what is refused before a replica fails on it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.building import BuildError, BuildSettings
from bananastand.platform.building.builder_choice import choose_builder
from bananastand.platform.building.dockerfile.dockerfile import parse
from bananastand.platform.building.dockerfile.dockerfile_edits import apply_overrides
from bananastand.platform.building.dockerfile.image_command import (
    ImageCommand,
    exposed_port,
    read_image_command,
    resolve_command,
)
from bananastand.platform.building.overrides import AppOverrides, BuildOverrides, Overrides
from platform_builds import Bench, wheel


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, sandboxed=False)


def start(text: str) -> ImageCommand | None:
    found = dict[str, ImageCommand]()
    for line in parse(f"FROM scratch\n{text}").stages[0].instructions:
        found[line.name] = read_image_command(line)
    return resolve_command(found.get("ENTRYPOINT"), found.get("CMD"), 2)


@pytest.mark.parametrize(
    ("text", "words", "folder", "environment"),
    [
        ("CMD python3 -u server.py", ("python3", "-u", "server.py"), "", {}),
        ('CMD ["python3", "-u", "app.py", "--port", "8000"]', ("python3", "-u", "app.py", "--port", "8000"), "", {}),
        ("CMD cd /app && python3 server.py", ("python3", "server.py"), "/app", {}),
        ("CMD cd src && cd api && exec python3 server.py", ("python3", "server.py"), "src/api", {}),
        ("CMD export A=1 && B=2 python3 app.py", ("python3", "app.py"), "", {"A": "1", "B": "2"}),
        ('CMD ["bash", "-c", "source activate ldm && python3 app.py"]', ("python3", "app.py"), "", {}),
        ('ENTRYPOINT ["/bin/sh", "-c"]\nCMD ["uvicorn app:app --port 8000"]',
         ("uvicorn", "app:app", "--port", "8000"), "", {}),
        ("CMD uvicorn server:app --host 0.0.0.0 --port 8000",
         ("uvicorn", "server:app", "--host", "0.0.0.0", "--port", "8000"), "", {}),
        ('CMD ["bash", "start.sh"]', ("bash", "start.sh"), "", {}),
        ('ENTRYPOINT ["/tini", "--"]\nCMD ["python3", "app.py"]', ("python3", "app.py"), "", {}),
        ('CMD ["conda", "run", "-n", "x", "python", "app.py"]', ("python", "app.py"), "", {}),
        ("CMD gunicorn -b :$PORT app:app", ("/bin/sh", "-c", "gunicorn -b :$PORT app:app"), "", {}),
        ("CMD python3 a.py & python3 b.py", ("/bin/sh", "-c", "python3 a.py & python3 b.py"), "", {}),
        ("CMD python3 a.py || python3 b.py", ("/bin/sh", "-c", "python3 a.py || python3 b.py"), "", {}),
        ("CMD python3 app.py | tee log", ("/bin/sh", "-c", "python3 app.py | tee log"), "", {}),
        ("CMD . ./secrets.env && python3 app.py", ("/bin/sh", "-c", ". ./secrets.env && python3 app.py"), "", {}),
        ("ENTRYPOINT python3 app.py\nCMD ignored", ("python3", "app.py"), "", {}),
        ('ENTRYPOINT ["python3"]\nCMD ["app.py"]', ("python3", "app.py"), "", {}),
        ("CMD node server.js", ("node", "server.js"), "", {}),
    ],
)  # fmt: skip
def test_start_command_is_read_from_the_dockerfile(
    text: str, words: tuple[str, ...], folder: str, environment: dict[str, str]
) -> None:
    found = start(text)

    assert found is not None
    assert (found.words, found.folder, found.environment) == (words, folder, environment)


@pytest.mark.parametrize(
    ("words", "port"),
    [
        (["8000"], 8000), (["5555", "8000/tcp"], 8000), (["9000", "5555"], 9000), (["8000/udp", "7860"], 7860),
        (["$PORT"], None), ([], None),
    ],
)  # fmt: skip
def test_of_several_exposed_ports_bananas_is_for_callers(words: list[str], port: int | None) -> None:
    assert exposed_port(words) == port


def test_a_command_written_as_one_name_is_refused_with_the_right_form() -> None:
    with pytest.raises(
        BuildError, match=r'line 2: CMD \["python3 app.py"\] names one program .*; write CMD \["python3", "app.py"\]'
    ):
        start('CMD ["python3 app.py"]')


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"app.py": "x"}, "app.py"),
        ({"server.py": "import app", "app.py": "def init(): pass"}, "server.py"),
        ({"server.py": "x"}, "server.py"),
        ({"main.py": "x"}, "main.py"),
        ({"app.py": "from potassium import Potassium", "server.py": "x"}, "app.py"),
    ],
)
def test_a_repository_without_a_dockerfile_is_built_as_its_template(
    files: dict[str, str], command: str, bench: Bench
) -> None:
    bench.write({name: f"# {text}\n" for name, text in files.items()} | {"requirements.txt": "potassium\n"})
    launch = bench.build()

    assert launch.command == ("python3", "-u", command)
    assert "there is no Dockerfile; built as if it were:" in bench.lines


def test_a_repository_without_anything_to_start_says_what_to_do(bench: Bench) -> None:
    bench.write({"README.md": ""})
    with pytest.raises(
        BuildError, match=r"neither a Dockerfile nor a file that starts an app .*; bananastand init writes both"
    ):
        bench.build()


def test_bananastand_toml_overrides_how_the_app_starts(bench: Bench) -> None:
    bench.write(
        {
            "bananastand.toml": '[app]\ncommand = "python3 other.py --fast"\nport = 9000\nhealth = "/up"\n'
            'environment = {A = "theirs"}\n[build]\nskip = ["RUN no-such-tool"]\nsystem_packages = ["no-such-lib1"]\n',
            "other.py": "import os, sys; print(os.environ['A'], sys.argv[1])",
        }
    )
    launch = bench.build("FROM python:3\nENV A=ours\nRUN no-such-tool x\nCOPY . .\nEXPOSE 8000\nCMD python3 app.py\n")

    assert (launch.command, launch.port, launch.health) == (("python3", "other.py", "--fast"), 9000, "/up")
    assert bench.ran(launch) == "theirs --fast"
    assert "left out: RUN no-such-tool x (bananastand.toml)" in bench.log
    assert "this machine lacks no-such-lib1" in bench.log


def test_bananastand_toml_is_enough_without_a_dockerfile(bench: Bench) -> None:
    bench.write({"bananastand.toml": '[app]\ncommand = ["python3", "x.py"]\n', "x.py": "print(1)"})

    assert bench.ran(bench.build()) == "1"


@pytest.mark.parametrize("how", ["words", "file", "nested"])
def test_pins_take_the_place_of_what_the_dockerfile_names(how: str, bench: Bench) -> None:
    for version in ("1.0", "2.0"):
        wheel(bench.wheels, "fruitbowl", version)
    bench.write(
        {
            "bananastand.toml": '[build]\npins = ["fruitbowl==1.0"]\n',
            "requirements.txt": "# ours\nFruitBowl>=2\n" if how == "file" else "-r more/r.txt\n",
            "more/r.txt": "fruitbowl==2.0  # the newest\n",
            "app.py": "import fruitbowl; print(fruitbowl.version)",
        }
    )
    line = "pip install fruitbowl==2.0" if how == "words" else "pip install -r requirements.txt"
    launch = bench.build(f"FROM python:3\n{bench.pip_line}COPY . .\nRUN {line}\nCMD python3 app.py\n")

    assert bench.ran(launch) == "1.0"


def test_requirements_of_bananastand_toml_replace_those_of_the_dockerfile(bench: Bench) -> None:
    wheel(bench.wheels, "fruitbowl", "1.0")
    bench.write(
        {
            "bananastand.toml": '[build]\nrequirements = ["mine.txt"]\n',
            "mine.txt": "fruitbowl\n",
            "requirements.txt": "no-such-package==1\n",
            "app.py": "import fruitbowl; print(fruitbowl.version)",
        }
    )
    launch = bench.build(
        f"FROM python:3\n{bench.pip_line}COPY . .\nRUN pip install -r requirements.txt\nCMD python3 app.py\n"
    )

    assert bench.ran(launch) == "1.0"


def test_an_invalid_pin_fails_with_its_text(bench: Bench) -> None:
    bench.write({"bananastand.toml": '[build]\npins = ["torch 2"]\n', "app.py": ""})
    with pytest.raises(
        BuildError, match=r"bananastand.toml: build.pins: 'torch 2' is not a requirement such as torch==2.1.0"
    ):
        bench.build()


def test_an_engine_reads_the_overrides_in_its_dockerfile() -> None:
    text = "FROM a AS one\nRUN make \\\n  install\nFROM one\nRUN pip install x \\\n  y\n"
    text += "RUN pip install z\nCMD python3 app.py\n"
    pins = BuildOverrides(pins=("x==1",), skip=("RUN make",), system_packages=("libgl1",))
    files = BuildOverrides(requirements=("r.txt",))

    assert apply_overrides(text, parse(text), BuildOverrides()) == text
    assert apply_overrides(text, parse(text), pins) == (
        "FROM a AS one\nFROM one\nRUN apt-get update && apt-get install -y libgl1\nRUN pip install x \\\n  y\n"
        "RUN python3 -m pip install x==1\nRUN pip install z\nRUN python3 -m pip install x==1\nCMD python3 app.py\n"
    )
    assert apply_overrides(text, parse(text), files) == (
        "FROM a AS one\nRUN make \\\n  install\nFROM one\nCOPY r.txt /tmp/requirements-0.txt\n"
        "RUN python3 -m pip install -r /tmp/requirements-0.txt\nCMD python3 app.py\n"
    )


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which there is no engine but those a test writes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize(
    ("engines", "deploy", "toml", "builder", "engine", "reason"),
    [
        ((), {}, None, "process", None, "neither docker nor podman works here"),
        (("docker",), {}, None, "container", "docker", "docker works here; --builder process"),
        (("podman",), {}, None, "container", "podman", "podman works here"),
        (("buildah",), {}, None, "process", None, "neither docker nor podman works here"),
        (("buildah",), {"engine": "buildah"}, None, "container", "buildah", "buildah works here"),
        (("docker",), {}, "process", "process", None, "as bananastand.toml asks"),
        (("docker",), {"builder": "process"}, "container", "process", None, "as the deploy asks"),
        ((), {"builder": "container"}, None, "container", None, "as the deploy asks"),
    ],
)
def test_a_container_is_the_default_where_an_engine_works(
    engines: tuple[str, ...],
    deploy: dict[str, Any],
    toml: Any,
    builder: str,
    engine: str | None,
    reason: str,
    path: Path,
) -> None:
    for name in engines:
        (path / name).write_text("#!/bin/sh\nexit 0\n")
        (path / name).chmod(0o755)
    overrides = Overrides(AppOverrides(), BuildOverrides(builder=toml))
    choice = asyncio.run(choose_builder(BuildSettings(cache=path, **deploy), overrides))

    assert (choice.builder, choice.engine.name if choice.engine else None) == (builder, engine)
    assert reason in choice.reason


@pytest.mark.needs("node")
def test_a_server_of_node_is_built(bench: Bench) -> None:
    bench.write({"server.js": "console.log('node', process.env.WHO)", "package.json": "{}"})
    launch = bench.build(
        'FROM node:18\nWORKDIR /usr/src/app\nCOPY package*.json ./\nCOPY . .\nENV WHO=me\nCMD ["node", "server.js"]\n'
    )

    assert bench.ran(launch) == "node me"


@pytest.mark.parametrize("script", ["start.sh", "./start.sh", "/app/start.sh"])
def test_a_script_starts_the_app(script: str, bench: Bench) -> None:
    bench.write({"start.sh": "#!/bin/bash\nexec python3 app.py", "app.py": "print('started')"})
    command = f'["bash", "{script}"]' if script == "start.sh" else f'["{script}"]'
    launch = bench.build(f"FROM python:3\nWORKDIR /app\nCOPY . .\nRUN chmod +x start.sh\nENTRYPOINT {command}\n")

    assert bench.ran(launch) == "started"
