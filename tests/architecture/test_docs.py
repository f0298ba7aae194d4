"""The commands and code of the README, the docs and the examples, run as they are printed."""

from __future__ import annotations

import contextlib
import importlib
import io
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

import pytest
from PIL import Image

from benchmarks import tables

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "how-to").glob("*.md")),
         ROOT / "models" / "README.md",
         ROOT / "models" / "fruitstand" / "README.md", ROOT / "training" / "fruitstand" / "README.md",
         ROOT / "mocks" / "README.md", ROOT / "contract_tests" / "README.md", ROOT / "SECURITY.md",
         ROOT / "CONTRIBUTING.md"]  # fmt: skip
PYTHONPATH = os.pathsep.join((str(ROOT), str(ROOT / "mocks")))
CODE_PAGES = [
    ROOT / name
    for name in (
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/decisions.md",
        "mocks/README.md",
        "contract_tests/README.md",
    )
]
PACKAGES = ("bananastand", "bananastand_mocks", "benchmarks", "contract_tests", "tests", "tools", "training")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


def blocks(*kinds: str) -> list[tuple[str, str]]:
    """Code blocks of these languages; a block that begins with a file's name is typed in by test_contributing.py."""
    return [
        (page.name, text)
        for page in PAGES
        for kind, text in FENCE.findall(page.read_text(encoding="utf-8"))
        if kind in kinds and not re.match(r"# \S+/\S+\n", text)
    ]


def commands() -> list[str]:
    lines = [line.split("  #")[0].strip() for _, text in blocks("sh", "") for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """app.py on the embedded model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if k not in ("HOST", "MODEL")} | {"PORT": str(port)}
    log = tmp_path_factory.mktemp("app") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=out, stderr=out)
    end = time.monotonic() + 120
    try:
        while time.monotonic() < end:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_k/status", timeout=5):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "command", [pytest.param(c, marks=pytest.mark.needs("curl") if c.startswith("curl") else ()) for c in commands()]
)
def test_a_command_of_the_docs_works(command: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    words = shlex.split(command, comments=True)
    while "=" in words[0] and not words[0].startswith("-"):  # MODEL=sdxl-base python app.py
        words.pop(0)
    match words:
        case ["make", target, *_]:
            assert f"\n{target}:" in (ROOT / "Makefile").read_text()
        case ["python", "app.py"]:
            pass  # test_app.py starts it
        case ["python", "download.py", model, *_]:
            assert (ROOT / "models" / f"{model}.toml").is_file()
        case ["python", "-m", "tools.mutation", *options]:
            run([sys.executable, "-m", "tools.mutation", *options, "--list"], ROOT)
        case ["python", "-m", module, *_]:
            run([sys.executable, "-m", module, "--help"], ROOT)
        case ["bananastand" | ".venv/bin/bananastand", "serve", target]:
            serve_gets_ready(target)
        case ["bananastand", "mocks"]:
            mocks_listen()
        case ["curl", *_] if "http://127.0.0.1:8750" in command:
            answer = json.loads(run(["curl", "-sf", *at_mocks(words[1:], request)], tmp_path))
            assert {"Request completed", "pending", "IN_QUEUE"} & {answer.get("message"), answer.get("status")}
        case ["bananastand", "conform", *_]:
            run([sys.executable, "-m", "bananastand", *at_mocks(words[1:], request)], tmp_path)
        case [
            "bananastand" | ".venv/bin/bananastand",
            "up"
            | "deploy"
            | "init"
            | "inspect"
            | "run"
            | "ps"
            | "logs"
            | "builds"
            | "scale"
            | "rollback"
            | "rm"
            | "df"
            | "prune"
            | "backup"
            | "restore"
            | "keys"
            | "cluster"
            | "join"
            | "nodes"
            | "export"
            | "migrate",
            *_,
        ]:
            command_has_options(words[1:])  # tests/cli/test_platform.py does what they say
        case ["git", "remote", "add", "stand", url] | ["git", "push", "stand", url]:
            assert url in ("main", "http://127.0.0.1:8750/git/my-app.git")  # tests/platform/http/test_git.py pushes
        case ["systemd-run", *_, "bananastand", "up", "--memory", _]:
            command_has_options(["up", "--memory"])
        case ["pip", "install", package]:
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            name, _, extras = package.removesuffix("]").partition("[")
            assert name == project["name"]
            assert set(extras.split(",")) <= set(project["optional-dependencies"])
        case ["ssh", *_] | ["sudo", "apt-get", "install", *_] | ["sudo", "useradd", *_] | ["docker", "push", _]:
            pass
        case ["pg_dump" | "tar", *_]:
            pass
        case ["docker", "build", *options]:  # test_image.py builds; here, that the Dockerfile knows what is named
            text = (ROOT / "Dockerfile").read_text()
            assert all(f"ARG {name}" in text for name in re.findall(r"--build-arg (\w+)", " ".join(options)))
            assert all(f"id={name}" in text for name in re.findall(r"--secret id=(\w+)", " ".join(options)))
        case ["curl" | "bananastand" | ".venv/bin/bananastand", *_]:
            live = request.getfixturevalue("url") if "8000" in command else ""
            words = [word.replace("http://127.0.0.1:8000", live) for word in words]
            if words[0] == "curl":
                assert json.loads(run(words, tmp_path))["output"]
            else:
                run([sys.executable, "-c", "from bananastand.cli import main; main()", *words[1:]], tmp_path)
        case _:
            pytest.fail(f"no test knows how to try {command!r}")


def command_has_options(words: list[str]) -> None:
    """Check that the command exists and has the options in the words."""
    name = words[:2] if words[0] in ("cluster", "nodes") and len(words) > 1 else words[:1]
    command = [sys.executable, "-c", "from bananastand.cli import main; main()", *name, "--help"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})
    assert output.returncode == 0, f"there is no command {name}"
    for option in (word for word in words[1:] if word.startswith("-")):
        assert re.search(rf"{re.escape(option)}\b", output.stdout), f"{words[0]} has no {option}"


def serve_gets_ready(target: str) -> None:
    """The host gets the app ready and stops at a signal."""
    command = [sys.executable, "-c", "from bananastand.cli import main; main()", "serve", target, "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        lines = list[str]()
        for line in process.stderr:
            lines.append(line)
            if line.startswith("ready after"):
                process.terminate()
        assert process.wait(30) == 0, "".join(lines)


def mocks_listen() -> None:
    """The mocks listen, say where, and stop at a signal."""
    command = [sys.executable, "-c", "from bananastand.cli import main; main()", "mocks", "--port", "0"]
    environment = os.environ | {"PYTHONPATH": PYTHONPATH, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Bananastand mocks at http://127.0.0.1")
        process.terminate()
        process.wait(30)


def at_mocks(words: list[str], request: pytest.FixtureRequest) -> list[str]:
    """Replace the documented address by that of running mocks."""
    return [word.replace("http://127.0.0.1:8750", request.getfixturevalue("mock_server").url) for word in words]


def run(words: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        words, cwd=folder, env=os.environ | {"PYTHONPATH": PYTHONPATH} | environment, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("code", [text for _, text in blocks("python")])
def test_python_of_the_docs_runs(code: str, tmp_path: Path) -> None:
    if "\ndef test_" in code:
        (tmp_path / "test_of_the_docs.py").write_text(code, encoding="utf-8")
        output = run([sys.executable, "-m", "pytest", "-q", "-p", "bananastand_mocks.plugin"], tmp_path)
        assert "1 passed" in output
    else:
        run([sys.executable, "-W", "error::SyntaxWarning", "-c", code], tmp_path)


@pytest.mark.parametrize("text", [text for _, text in blocks("json")])
def test_json_of_the_docs_is_json(text: str) -> None:
    json.loads(text)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_runs_and_is_short(example: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = example.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 35
    live = request.getfixturevalue("url") if "APP_URL" in text else ""

    assert run([sys.executable, str(example)], tmp_path, APP_URL=live)
    for picture in tmp_path.glob("*.png"):
        assert Image.open(io.BytesIO(picture.read_bytes())).size == (128, 128)


def test_links_of_the_docs_lead_somewhere() -> None:
    assert PAGES
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def named_in(page: Path) -> list[str]:
    """Words in backticks of a page, and the words of its shell examples."""
    text = page.read_text(encoding="utf-8")
    passages: list[str] = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    passages += [block for kind, block in FENCE.findall(text) if kind in ("sh", "text", "")]
    return [word for passage in passages for word in passage.replace(",", " ").split()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_that_the_docs_name_exist(page: Path) -> None:
    """Pages on the code name nothing but paths of the repository; other pages name paths of users and routes too."""
    missing = [word for word in named_in(page) if not is_there(word, page)]

    assert missing == []


def is_there(word: str, page: Path) -> bool:
    """Whether a word of a page names something that exists, or is no path of the repository."""
    if page in CODE_PAGES and re.fullmatch(r"\w+\.(py|yaml)", word):
        return any(ROOT.glob(word)) or any(found(word))
    if not re.fullmatch(r"[\w.*-]+(/[\w.*<>-]*)+", word) or is_made_by_the_reader(word):
        return True
    if page not in CODE_PAGES and not (ROOT / word.split("/")[0]).is_dir():
        return True
    pattern = re.sub(r"\b(NAME|PROVIDER)\b|<\w+>", "*", word).rstrip("/")
    return any(any(folder.glob(pattern)) for folder in (ROOT, page.parent, page.parent / "bananastand_mocks"))


def is_made_by_the_reader(path: str) -> bool:
    """Whether a path is that of a build's output, of the virtual environment, or of a file that CONTRIBUTING types."""
    typed = re.findall(r"^# (\S+/\S+)$", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M)
    return path.startswith((".venv/", "dist/", "out/")) or path in typed


def found(name: str) -> Iterator[Path]:
    for package in (*PACKAGES, "mocks"):
        yield from (ROOT / package).rglob(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_that_the_docs_name_exist(page: Path) -> None:
    names = [match[0] for word in named_in(page) if (match := re.match(r"\w+(\.\w+)+", word))]
    ours = [name for name in names if name.split(".")[0] in PACKAGES and not name.endswith((".toml", ".git", ".gz"))]

    assert [name for name in ours if not exists(name) and not is_attribute(name)] == []


def is_attribute(name: str) -> bool:
    """Whether a dotted name is that of something in a module."""
    module, _, attribute = name.rpartition(".")
    return exists(module) and hasattr(importlib.import_module(module), attribute)


def exists(module: str) -> bool:
    path = module.replace(".", "/")
    return any((root / f"{path}.py").is_file() or (root / path).is_dir() for root in (ROOT, ROOT / "mocks"))


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: page.name)
def test_the_tables_are_the_measured_ones(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert "<!-- /" in text
    assert tables.written(text) == text


def test_every_target_of_the_makefile_is_one_line() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", text, re.M)
    assert targets is not None
    for target in targets[1].split():
        recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)*)", text, re.M)
        assert recipe is not None, target
        assert recipe[1].count("\n") <= 1, target
