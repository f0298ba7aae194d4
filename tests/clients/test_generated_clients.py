"""Clients generated from the contracts that the mocks hand out, by generators that know nothing of this project.

openapi-python-client and openapi-typescript read `openapi.json` of each provider without leaving anything out, and the
generated Python clients call the mock that the document names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bananastand_mocks
from bananastand_mocks.providers import NAMES
from bananastand_mocks.running import RunningServer
from sdk_packages import PythonSdks

GENERATOR = "openapi-python-client==0.29.1"
FILES = ("image/png", "image/jpeg", "image/webp", "image/svg+xml", "application/pdf", "*/*")
CONFIG = "content_type_overrides:\n" + "".join(f"  '{kind}': application/octet-stream\n" for kind in FILES)
PROGRAMS = {
    "bananadev": """
from client.api.runs import run
from client.models import RunBody
answer = run.sync(client=client, body=RunBody("value", {"prompt": "a ripe banana"}))
print(answer.result.finished, len(answer.result.model_outputs))
""",
    "gobananas": """
from client.api.generation import create_image
from client.api.gallery import delete_image, get_image
from client.models import NewImage, NotFound
made = create_image.sync(client=client, body=NewImage("a ripe banana", n=2)).images
print(len(made), get_image.sync(made[0].id, client=client).prompt)
print(delete_image.sync_detailed(made[0].id, client=client).status_code.value)
print(get_image.sync(made[0].id, client=client).error)
""",
    "paperbanana": """
from client.api.workflows import create_plot
from client.api.tasks import get_task, get_task_image
from client.models import CreatePlotBody
task = create_plot.sync(client=client, body=CreatePlotBody("[1, 2]", "bars")).task_id
while (found := get_task.sync(task, client=client)).status == "pending" or found.status == "running":
    pass
print(found.status, get_task_image.sync(task, client=client).payload.read(4))
""",
}
SAID = {
    "bananadev": ["True 1"],
    "gobananas": ["2 a ripe banana", "204", "Image not found"],
    "paperbanana": ["completed b'\\x89PNG'"],
}

pytestmark = [pytest.mark.slow, pytest.mark.needs("uv")]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with bananastand_mocks.start(virtual=False) as running:
        yield running


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return PythonSdks(tmp_path_factory.mktemp("generators")).python(GENERATOR)


def run(*command: str | Path, folder: Path) -> str:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))  # the generator formats with ruff
    environment = {"PATH": path, "HOME": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def generated(request: pytest.FixtureRequest, server: RunningServer, python: Path, tmp_path: Path) -> Path:
    """The folder with a provider's generated package; the parameter names the provider."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    url = f"{server.endpoint(request.param).base_url}/openapi.json"
    command = [python.with_name("openapi-python-client"), "generate", "--url", url, "--config", "config.yaml"]
    said = run(*command, "--meta", "none", "--output-path", "client", folder=tmp_path)
    assert "WARNING" not in said, said
    return tmp_path


@pytest.mark.parametrize("generated", NAMES, indirect=True)
def test_a_python_client_is_generated_without_loss(generated: Path) -> None:
    assert (generated / "client" / "client.py").exists()


@pytest.mark.parametrize(("generated", "name"), [(name, name) for name in PROGRAMS], indirect=["generated"])
def test_a_generated_python_client_calls_the_mock(
    generated: Path, name: str, server: RunningServer, python: Path
) -> None:
    at = server.endpoint(name)
    opened = {
        "bananadev": f"Client(base_url=url, httpx_args={{'params': {{'api_token': {at.key!r}}}}})",
        "gobananas": "AuthenticatedClient(base_url=url, prefix='', auth_header_name='X-API-Key', token=key)",
        "paperbanana": "AuthenticatedClient(base_url=url, token=key)",
    }[name]
    begin = (
        f"from client import AuthenticatedClient, Client\nurl, key = {at.base_url!r}, {at.key!r}\nclient = {opened}\n"
    )

    assert run(python, "-c", begin + PROGRAMS[name], folder=generated).splitlines() == SAID[name]


@pytest.mark.needs("node", "npm")
def test_typescript_types_are_generated_with_every_operation(server: RunningServer, tmp_path: Path) -> None:
    run("npm", "install", "--silent", "--no-audit", "--no-fund", "openapi-typescript@7.13.0", folder=tmp_path)
    for name in NAMES:
        url = f"{server.endpoint(name).base_url}/openapi.json"
        run("node_modules/.bin/openapi-typescript", url, "-o", f"{name}.ts", folder=tmp_path)
        document = json.loads(run("curl", "-s", url, folder=tmp_path))
        types = (tmp_path / f"{name}.ts").read_text()
        ids = [
            spec["operationId"] for item in document["paths"].values() for spec in item.values() if "responses" in spec
        ]
        assert [id for id in ids if f"    {id}: {{" not in types] == []
