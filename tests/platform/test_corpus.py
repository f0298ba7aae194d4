"""Repositories as Banana's users kept them, deployed as they are: built, live, called, scaled and deployed again.

Those of QUICK run with every test run, all of them with the slow tests.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import Hub
from tools.compatibility.corpus import CORPUS, CorpusCall, CorpusRepository, check_out, materialize, read_manifest
from tools.compatibility.expectations import HttpAnswer, mismatch
from tools.compatibility.lifecycle import LifecycleRun, MatrixCell, missing_needs
from tools.compatibility.platform_process import PlatformProcess
from tools.compatibility.replicas import replica_failure, wait_for_replicas
from tools.compatibility.sdk import SdkCaller

QUICK = (
    "absolute-paths", "entrypoint-script", "flask-debug", "gunicorn-flask", "http-server", "node-express-less",
    "potassium-003-cache", "potassium-008-hooks", "potassium-041-riffusion", "potassium-050-workers", "sanic-template",
    "shell-binary", "supervisord",
)  # fmt: skip
REPOSITORIES = read_manifest()
BY_NAME = {repository.name: repository for repository in REPOSITORIES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture(scope="module")
def hub(folder: Path) -> Iterator[Hub]:
    """A hub on loopback with the weights that the light repositories fetch."""
    from hub_models import repositories

    quick = [repository for repository in REPOSITORIES if not repository.slow]
    names = {repository.successors.get(name, name) for repository in quick for name in repository.weights}
    with Hub(repositories(folder / "hub", sorted(names))) as served:
        yield served


@pytest.fixture(scope="module")
def platform(folder: Path, hub: Hub) -> Iterator[PlatformProcess]:
    (folder / "sources").mkdir()
    with PlatformProcess(folder, folder / "sources", hub.environment(folder / "hub-cache")) as running:
        yield running


def live(repository: CorpusRepository, platform: PlatformProcess, hub: Hub, folder: Path) -> dict[str, MatrixCell]:
    """The cells of a repository's life with the process builder, without those that do not apply."""
    if lacking := missing_needs(repository, "process"):
        pytest.skip(lacking)
    life = LifecycleRun(repository, "process", platform, SdkCaller(folder / "sdks"), folder / "sources", 300.0,
                lambda: list(hub.requests))  # fmt: skip
    life.run(lambda name, cell: None)
    return {name: cell for name, cell in life.cells.items() if cell.ok is not None}


@pytest.mark.needs("uv", "git")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(repository.name, marks=() if repository.name in QUICK else pytest.mark.slow)
        for repository in REPOSITORIES
    ],
)
def test_a_repository_runs_as_it_is(name: str, platform: PlatformProcess, hub: Hub, folder: Path) -> None:
    repository = BY_NAME[name]
    if "torch" in repository.needs:
        pytest.skip("python -m tools.compatibility tries it: its libraries take minutes to install")

    cells = live(repository, platform, hub, folder)

    assert {cell: found.note for cell, found in cells.items() if not found.ok} == {}
    assert {"built", "live", "called", "scaled", "redeployed"} <= set(cells)


@pytest.mark.needs("uv", "git")
def test_two_apps_with_one_fixed_port_answer_each_for_itself(platform: PlatformProcess, folder: Path) -> None:
    projects = []
    for name in ("http-server", "shell-binary") if shutil.which("gcc") else ("http-server", "flask-debug"):
        source = check_out(BY_NAME[name], folder / "sources")
        built = platform.deploy(f"beside-{name}", source, "process", limit=300)
        assert built["state"] == "live", built["error"]
        platform.api("PATCH", f"projects/beside-{name}", {"min_replicas": 1})
        projects.append((BY_NAME[name], platform.api("GET", f"projects/beside-{name}")))

    assert len(projects) == 2
    for repository, project in [*projects, *reversed(projects)]:
        call = repository.calls[0]
        assert mismatch(call, platform.call(project, call, 60)) is None, repository.name

    for _, project in projects:
        platform.api("DELETE", f"projects/{project['name']}")


@pytest.mark.needs("uv", "git")
def test_a_replica_that_hangs_is_seen_beside_one_that_answers(platform: PlatformProcess, folder: Path) -> None:
    repository = BY_NAME["http-server"]
    built = platform.deploy("hangs", check_out(repository, folder / "sources"), "process", limit=300)
    assert built["state"] == "live", built["error"]
    platform.api("PATCH", "projects/hangs", {"min_replicas": 2, "max_replicas": 2})
    assert wait_for_replicas(platform, "hangs", 2, 90.0) is None
    assert replica_failure(platform, "hangs", repository.calls[0]) is None
    pid = platform.api("GET", "projects/hangs/replicas")["replicas"][1]["pid"]

    os.killpg(pid, signal.SIGSTOP)
    try:
        found = replica_failure(platform, "hangs", repository.calls[0], timeout=3.0)
    finally:
        os.killpg(pid, signal.SIGCONT)
        platform.api("DELETE", "projects/hangs")

    assert found is not None
    assert "was not answered: timed out" in found


def test_the_corpus_has_every_kind_of_repository() -> None:
    generations = {repository.generation for repository in REPOSITORIES}
    assert len(REPOSITORIES) >= 30
    assert {"server.py", "own server", "potassium, open"} <= generations
    assert {
        f"potassium {version}" for version in ("0.0.3", "0.0.5", "0.0.8", "0.0.9", "0.1.2", "0.2.1", "0.3.2")
    } <= generations
    assert {f"potassium {version}" for version in ("0.4.0", "0.4.1", "0.5.0")} <= generations
    kinds = {repository.kind for repository in REPOSITORIES}
    assert {"diffusion", "img2img", "controlnet", "dreambooth", "riffusion", "whisper", "language", "clip"} <= kinds
    features = {feature for repository in REPOSITORIES for feature in repository.features}
    assert {
        "no Python",
        "background",
        "webhook",
        "stream",
        "headers",
        "workers",
        "Store",
        "conda",
        "git clone",
    } <= features


@pytest.mark.parametrize("repository", REPOSITORIES, ids=lambda repository: repository.name)
def test_corpus_repository_has_dockerfile_calls_and_weights(repository: CorpusRepository) -> None:
    files = {path.name for path in repository.folder.rglob("*")}

    assert {"Dockerfile", "test.py"} <= files
    dockerfile = (repository.folder / "Dockerfile").read_text()
    assert dockerfile.count("FROM ") >= 1
    assert {"COPY", "ADD"} & set(dockerfile.split())
    assert repository.calls
    for weights in repository.weights:
        assert any(weights in path.read_text() for path in repository.folder.rglob("*.py")), weights


def test_every_folder_of_the_corpus_is_in_the_manifest() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} == set(BY_NAME)


@pytest.mark.needs("git")
def test_a_checkout_has_its_last_commit_on_its_day(tmp_path: Path) -> None:
    import subprocess

    place = check_out(BY_NAME["sanic-template"], tmp_path)

    said = subprocess.run(["git", "log", "-1", "--format=%cI"], cwd=place, capture_output=True, text=True, check=True)
    assert said.stdout.startswith("2022-10-18T12:00:00")
    assert {path.name for path in place.iterdir()} == {
        ".git", "Dockerfile", "app.py", "download.py", "requirements.txt", "server.py", "test.py",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("call", "answer", "wrong"),
    [
        (CorpusCall(json={"n": 1}), HttpAnswer(200, {}, b'{"n": 1}'), None),
        (CorpusCall(json={"n": 1}), HttpAnswer(200, {}, b'{"n": 2}'), "not {"),
        (CorpusCall(json={"n": 1}), HttpAnswer(503, {}, b"later"), "answered 503"),
        (CorpusCall(keys=["n"]), HttpAnswer(200, {}, b'{"n": 1, "m": 2}'), "not an object of"),
        (CorpusCall(has={"n": 1}), HttpAnswer(200, {}, b'{"n": 1, "m": 2}'), None),
        (CorpusCall(has={"n": 1}), HttpAnswer(200, {}, b"[]"), "without"),
        (CorpusCall(text="a"), HttpAnswer(200, {}, b"b"), "not 'a'"),
        (CorpusCall(octets=2), HttpAnswer(200, {}, b"\0"), "1 octets"),
        (CorpusCall(headers={"x-n": "1"}), HttpAnswer(200, {}, b""), "header x-n is None"),
        (CorpusCall(text="a", pieces=2), HttpAnswer(200, {}, b"a", [0.0]), "1 piece"),
    ],
)
def test_an_answer_is_held_against_what_must_come_back(call: CorpusCall, answer: HttpAnswer, wrong: str | None) -> None:
    found = mismatch(call, answer)

    assert (found is None) if wrong is None else (found is not None and wrong in found)


def test_a_picture_must_be_of_its_size_and_format() -> None:
    import json

    expected = {"field": "image", "size": [70, 40], "format": "PNG"}
    body = json.dumps({"image": materialize("png:70x40:10,20,30")}).encode()

    assert mismatch(CorpusCall(image=expected), HttpAnswer(200, {}, body)) is None
    assert mismatch(CorpusCall(image={**expected, "size": [40, 70]}), HttpAnswer(200, {}, body)) == (
        "the picture is ([70, 40], 'PNG')"
    )
    assert "no picture in image" in str(mismatch(CorpusCall(image=expected), HttpAnswer(200, {}, b'{"image": "AAAA"}')))
