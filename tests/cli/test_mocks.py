"""`bananastand mocks` and `bananastand coverage`, as typed."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from bananastand.clients import FalAI
from servers import free_port

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "at_r0123456789abcdef0123456789abcdef"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from bananastand.cli import main; main()", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'mocks'}", "COLUMNS": "200", "NO_COLOR": "1"}


@pytest.fixture
def port() -> int:
    return free_port()


def serve(port: int, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command("mocks", "--port", str(port), *arguments), env=environment(), stdout=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.05)
    raise TimeoutError("the mocks did not listen")


def end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    return output


@pytest.fixture
def mocks(port: int) -> Iterator[str]:
    process = serve(port, "--seed", "3", "--world", "documents")
    yield f"http://127.0.0.1:{port}"
    if process.poll() is None:
        end(process)


def test_the_mocks_answer_with_the_printed_key_and_tell_their_coverage(mocks: str) -> None:
    answer = httpx2.get(f"{mocks}/lowcodeapi/bananadev/v1/models/VALUE", params={"api_token": TOKEN})
    coverage = subprocess.run(command("coverage", "--url", mocks), env=environment(), capture_output=True, text=True)

    assert answer.json()["result"]["modelKey"] == "VALUE"
    assert "bananadev      get_model               1  200:1" in coverage.stdout


def test_a_state_file_survives_a_restart(port: int, tmp_path: Path) -> None:
    state = str(tmp_path / "state.db")
    url = f"http://127.0.0.1:{port}/lowcodeapi/bananadev/v1"
    process = serve(port, "--state", state, "--only", "bananadev")
    httpx2.post(f"{url}/deploy", params={"api_token": TOKEN}, json={"modelKey": "kept", "source": "x"})
    output = end(process)

    process = serve(port, "--state", state, "--only", "bananadev")
    answer = httpx2.get(f"{url}/models/kept", params={"api_token": TOKEN})
    end(process)

    assert TOKEN in output
    assert answer.status_code == 200


def test_what_cannot_be_served_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("these are notes and not a database of worlds")
    unknown = subprocess.run(command("mocks", "--only", "nobody"), env=environment(), capture_output=True, text=True)
    no_file = subprocess.run(
        command("mocks", "--state", str(tmp_path / "notes")), env=environment(), capture_output=True, text=True
    )
    nobody = subprocess.run(
        command("coverage", "--url", "http://127.0.0.1:9"), env=environment(), capture_output=True, text=True
    )

    assert (unknown.returncode, unknown.stderr.startswith("error: there is no provider nobody")) == (2, True)
    assert (no_file.returncode, "is not a state file" in no_file.stderr) == (2, True)
    assert (nobody.returncode, "are the mocks running?" in nobody.stderr) == (1, True)


def test_a_brain_that_cannot_be_reached_so_is_told_at_once() -> None:
    for wrong in ("openai=https://a.example/v1", "a.example"):
        done = subprocess.run(
            command("mocks", "--vlm", wrong), env=environment(), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 2
        assert "is no" in done.stderr


def test_a_recording_is_replayed_and_held_to_the_contract(port: int, tmp_path: Path) -> None:
    cassette, other = str(tmp_path / "c.yaml"), free_port()
    real = serve(other, "--only", "falai", "--seed", "1")
    recording = serve(
        port, "--record", f"falai=http://127.0.0.1:{other}/lowcodeapi/falai", "--cassette", cassette, "--only", "falai"
    )
    address = f"http://127.0.0.1:{port}/lowcodeapi/falai/v1/models"
    live = httpx2.get(address, params={"limit": 1, "api_token": TOKEN}).json()
    output = end(recording) + end(real)
    replaying = serve(port, "--replay", cassette, "--only", "falai")
    again = httpx2.get(address, params={"limit": 1, "api_token": "any"}).json()
    missing = httpx2.get(address, params={"limit": 2, "api_token": "any"})
    end(replaying)
    conform = subprocess.run(
        command("conform", "--cassette", cassette, "--diff"), env=environment(), capture_output=True, text=True
    )
    refused = subprocess.run(
        command("mocks", "--record", "falai", "--cassette", cassette), env=environment(), capture_output=True, text=True
    )

    assert again == live
    assert (missing.status_code, "nearest is entry 1 of c.yaml" in missing.text) == (501, True)
    assert f"into {cassette}" in output
    assert (conform.returncode, "1 passed, 0 failed" in conform.stdout) == (0, True), conform.stdout
    assert (refused.returncode, "c.yaml exists: delete it" in refused.stderr) == (2, True)


def test_a_document_is_served_over_https_with_the_variables_that_clients_need(port: int, tmp_path: Path) -> None:
    document = ROOT / "tests" / "mocks" / "openapi" / "documents" / "kitchen.yaml"
    options = ("--tls", "--proxy", "0", "--ca", str(tmp_path / "ca"), "--openapi", f"{document},cook")
    process = serve(port, *options, "--only", "falai")
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ca" / "bundle.pem"))
    orders = httpx2.get(f"https://localhost:{port}/cook/orders", verify=trusted).json()["data"]
    output = end(process)

    assert [order["dish"] for order in orders] == ["soup", "fruit"]
    assert f"export SSL_CERT_FILE={tmp_path / 'ca' / 'bundle.pem'}\n" in output
    assert f"export NODE_EXTRA_CA_CERTS={tmp_path / 'ca' / 'ca.pem'}\n" in output
    assert "export HTTPS_PROXY=http://127.0.0.1:" in output


def test_a_wrong_document_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("openapi: 3.1.0\ninfo: {title: Shop, version: '1'}\npaths:\n  fruits: {}\n")
    done = subprocess.run(
        command("mocks", "--openapi", str(tmp_path / "shop.yaml")), env=environment(), capture_output=True, text=True
    )

    assert done.returncode == 2
    assert f"{tmp_path / 'shop.yaml'}:3: paths: " in done.stderr


def test_auto_advance_lets_a_client_wait_without_time_and_needs_a_virtual_clock(port: int) -> None:
    process = serve(port, "--time", "virtual", "--auto-advance")
    with FalAI(TOKEN, base_url=f"http://127.0.0.1:{port}/lowcodeapi/falai") as fal:
        instance = fal.wait_for_instance(fal.create_instance(instance_type="gpu-1x-a10g").id)
    end(process)
    refused = subprocess.run(command("mocks", "--auto-advance"), env=environment(), capture_output=True, text=True)

    assert instance.status == "active"
    assert refused.returncode == 2
    assert "--auto-advance needs --time virtual" in refused.stderr
