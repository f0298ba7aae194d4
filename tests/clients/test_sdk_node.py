"""Every published version of @banana-dev/banana-dev, unmodified, against each kind of app on `bananastand up`.

The table in docs/calling.md has a row for each; each of its cells is a test here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import bananastand_mocks
from sdk_packages import INPUTS, NodeSdks, apps, deploy_apps, exports, mock_job
from servers import free_port
from stands import Up

VERSIONS = ("3.0.0", "4.0.0", "6.2.0")
KINDS = ("potassium", "background", "template", "own server")

Answers = Callable[[str, str], Any]

pytestmark = pytest.mark.needs("node", "npm")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = Up(tmp_path_factory.mktemp("a data 'folder'") / "data", proxy=free_port())
    deploy_apps(running)
    yield running
    assert running.stop() == 0, running.log


@pytest.fixture(scope="module")
def sdks(tmp_path_factory: pytest.TempPathFactory) -> NodeSdks:
    return NodeSdks(tmp_path_factory.mktemp("packages"))


def more(version: str, *kinds: str) -> list[str]:
    """With what this version has beside calls."""
    own = {"3.0.0": ["feedback"], "6.2.0": ["warmup", "projects"]}.get(version, [])
    return [*KINDS, *(own_kind for own_kind in own if own_kind in kinds), "wrong key"]


@pytest.fixture(scope="module")
def by_setting(up: Up, sdks: NodeSdks) -> Answers:
    """With the package's own setting: the URL of a Client, BANANA_URL before that."""
    base = f"http://127.0.0.1:{up.port}/banana/"

    @cache
    def drive(version: str) -> dict[str, Any]:
        job = {"key": up.key, "apps": apps(up), "kinds": more(version, "warmup", "feedback")}
        return sdks.drive(version, job, {"BANANA_URL": base})

    return lambda version, kind: drive(version)[kind]


@pytest.fixture(scope="module")
def built_in(up: Up, sdks: NodeSdks) -> Answers:
    """With Banana's own addresses, and the variables that `bananastand up --proxy` prints."""

    @cache
    def drive(version: str) -> dict[str, Any]:
        kinds = ["fetch", *more(version, "projects", "feedback")]
        job = {"key": up.key, "apps": apps(up, "https://NAME.run.banana.dev"), "kinds": kinds}
        return sdks.drive(version, job, exports(up))

    return lambda version, kind: drive(version)[kind]


@pytest.fixture(params=["by_setting", "built_in"])
def answer_of(request: pytest.FixtureRequest) -> Answers:
    answers: Answers = request.getfixturevalue(request.param)
    return answers


@pytest.mark.parametrize("version", VERSIONS)
def test_a_potassium_app_is_called(version: str, answer_of: Answers) -> None:
    assert answer_of(version, "potassium")["got"] == INPUTS


@pytest.mark.parametrize("version", VERSIONS)
def test_a_potassium_app_works_in_the_background(version: str, answer_of: Answers) -> None:
    answer = answer_of(version, "background")

    assert answer == {"started": True} if version == "6.2.0" else answer["got"] == INPUTS


@pytest.mark.parametrize("version", VERSIONS)
def test_an_app_of_the_first_template_gets_the_inputs_as_its_body(version: str, answer_of: Answers) -> None:
    assert answer_of(version, "template") == {"words": 3, "inputs": INPUTS}


@pytest.mark.parametrize("version", VERSIONS)
def test_another_server_is_called_on_the_route(version: str, answer_of: Answers) -> None:
    answer = answer_of(version, "own server")

    target = "/generate?size=2" if version == "6.2.0" else "/"
    assert (answer["method"], answer["target"]) == ("POST", target)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_key_is_an_error_of_the_package_at_once(version: str, answer_of: Answers) -> None:
    assert "Invalid API key" in answer_of(version, "wrong key")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_mock_answers_every_call_of_a_version(version: str, sdks: NodeSdks) -> None:
    with bananastand_mocks.start("banana-native", virtual=False) as server:
        job = mock_job(server)
        kinds = {"3.0.0": ["background", "feedback"], "4.0.0": ["background"], "6.2.0": ["warmup", "projects"]}[version]
        environment = {"BANANA_URL": f"{server.endpoint('banana-native').base_url}/"}
        answers = sdks.drive(version, {**job, "kinds": ["potassium", *kinds, "wrong key"]}, environment)

    assert answers["potassium"]["output"].startswith("iVBOR"), "a picture"
    assert answers.get("background", {"output": "iVBOR"})["output"].startswith("iVBOR")
    assert (answers.get("warmup", {"warm": True}), answers.get("projects", 31)) == ({"warm": True}, 31)
    assert answers.get("feedback", "success") == "success"
    assert "Invalid API key" in answers["wrong key"]


def test_a_potassium_app_is_warmed_up(by_setting: Answers) -> None:
    assert by_setting("6.2.0", "warmup") == {"warm": True}


def test_projects_are_managed_at_bananas_own_address(built_in: Answers) -> None:
    assert built_in("6.2.0", "projects") == 31


def test_feedback_is_a_line_in_the_projects_log(up: Up, answer_of: Answers) -> None:
    assert answer_of("3.0.0", "feedback") == "success"

    log = up.http.get("/stand/v1/projects/template/logs").text
    lines = [json.loads(line)["line"] for line in log.splitlines()]
    assert any(line.startswith("call call_") and line.endswith('feedback {"liked": true}') for line in lines)


def test_fetch_of_node_itself_reaches_bananas_own_address(built_in: Answers) -> None:
    assert built_in("6.2.0", "fetch") == {"words": 3, "inputs": INPUTS}


def node(code: str, environment: dict[str, str], folder: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **environment}
    ran = subprocess.run(["node", "-e", code], env=environment, capture_output=True, text=True, timeout=60)
    return ran.stdout + ran.stderr


def test_the_hook_leads_no_other_names_away(up: Up, tmp_path: Path) -> None:
    code = (
        "const http = require('http');"
        f"for (const host of ['localhost', '127.0.0.1']) http.get({{host, port: {up.port}, path: '/healthz'}}, (a) =>"
        " console.log(a.resume().statusCode));"
        "for (const host of ['example.invalid', 'run.banana.dev.invalid', 'xrun.banana.dev.invalid'])"
        " http.get({host}).on('error', (e) => console.log(e.code, host));"
    )
    output = node(code, exports(up), tmp_path)

    assert output.count("200\n") == 2
    assert [
        line for line in output.splitlines() if "invalid" in line and "ENOTFOUND" not in line and "EAI" not in line
    ] == []


def test_without_the_exports_a_program_does_not_trust_the_proxy(up: Up, tmp_path: Path) -> None:
    code = "require('https').get('https://template.run.banana.dev/').on('error', (e) => console.log(e.code))"
    found = exports(up)

    output = node(code, {"NODE_OPTIONS": found["NODE_OPTIONS"]}, tmp_path)

    assert re.search("SIGNATURE|SELF_SIGNED|UNABLE_TO_VERIFY", output), output


def test_node_options_that_are_set_already_are_kept(up: Up, tmp_path: Path) -> None:
    (line,) = [line.strip() for line in up.lines if "export NODE_OPTIONS" in line]
    shell = f"export NODE_OPTIONS=--no-deprecation\n{line}\nnode -p 'process.noDeprecation'"
    ran = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60)

    assert ran.stdout == "true\n", ran.stderr
