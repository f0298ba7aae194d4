"""What a run URL answers when there is nothing to run: at once, with the reason, and no status that SDKs retry."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx2
import pytest
from banana_dev import Client
from banana_dev.client import ClientException

from stands import Up


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("errors") / "data") as running:
        yield running


def sdk_error(up: Up, project: str) -> str:
    """The error of the published SDK, which retries by default."""
    client = Client(up.key, url=f"http://127.0.0.1:{up.port}/banana/run/{project}", verbosity="")
    began = time.monotonic()
    with pytest.raises(ClientException) as caught:
        client.call("/", {})
    assert time.monotonic() - began < 60, "it tried again and again"
    return str(caught.value)


def test_a_project_that_was_never_deployed_says_so(up: Up) -> None:
    up.http.post("/banana/v1/projects", json={"name": "never"}, headers={"x-banana-api-key": up.key}).raise_for_status()

    error = sdk_error(up, "never")
    assert "StatusCode: 404" in error
    assert "never has no live version: deploy it first: bananastand deploy FOLDER --name never" in error


def test_a_project_whose_build_failed_names_the_failure(up: Up) -> None:
    assert up.deploy("broken", "fails")["state"] == "failed"

    error = sdk_error(up, "broken")
    assert "StatusCode: 404" in error
    assert "broken has no live version: its build failed: line 3 of the Dockerfile" in error


def test_a_call_that_waits_for_the_first_build_in_vain_says_so(up: Up) -> None:
    build = up.http.post("/stand/v1/projects/slow/deploy", json={"source": "hangs"}).json()["build_id"]
    up.http.patch("/stand/v1/projects/slow", json={"inference_timeout": 1}).raise_for_status()

    answer = httpx2.post(
        f"http://127.0.0.1:{up.port}/banana/run/slow/", json={}, headers={"x-banana-api-key": up.key}, timeout=60
    )
    up.http.post(f"/stand/v1/builds/{build}/cancel").raise_for_status()  # other tests' builds wait for it

    assert answer.status_code == 503
    assert "slow has no live version yet, its first build is under way: call again later" in answer.text
