"""Banana's own host names: on the platform's port, and through the forward proxy with the published SDK unmodified."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest

from sdk_packages import exports
from servers import free_port
from stands import Up

FRONT, PROXY = free_port(), free_port()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("proxy") / "data", fronts=[[FRONT, "my-app"]], proxy=PROXY) as running:
        assert running.deploy("my-app", "potassium")["state"] == "live", running.log
        yield running


def run(up: Up, code: str) -> subprocess.CompletedProcess[str]:
    """A program of a user's, with the printed exports."""
    environment = {**os.environ, **exports(up), "NO_PROXY": "", "no_proxy": ""}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_run_url_by_host_name_is_answered_on_the_platforms_port(up: Up) -> None:
    url, headers = f"http://127.0.0.1:{up.port}/?q=1", {"host": "my-app.run.banana.dev", "x-banana-api-key": up.key}

    assert httpx2.post(url, json={"n": 1}, headers=headers).json()["got"] == {"n": 1}
    assert httpx2.post(url, json={}, headers={"host": "my-app.run.banana.dev"}).status_code == 401
    assert httpx2.post(url, json={}, headers={**headers, "host": "nobody.run.banana.dev"}).status_code == 404
    api = httpx2.get(f"http://127.0.0.1:{up.port}/v1/projects", headers={**headers, "host": "api.banana.dev"})
    assert [project["name"] for project in api.json()["results"]] == ["my-app"]


@pytest.mark.parametrize(
    "slug", ["demo_lemon_13b-lkv21kyo08", "demo-pineapple-1-0-uncensored-melon2-13b-gptq-llg3o1csfc", "x" * 63]
)
def test_a_slug_as_banana_gave_them_is_a_name_for_a_project(up: Up, slug: str) -> None:
    assert up.deploy(slug, "echo")["state"] == "live"
    code = (
        "from banana_dev import Client\n"
        f"client = Client({up.key!r}, url='https://{slug}.run.banana.dev', verbosity='')\n"
        "print(client.call('/', {'n': 2})[0]['method'])"
    )
    ended = run(up, code)

    assert (ended.returncode, ended.stdout) == (0, "POST\n"), ended.stderr
    assert up.http.delete(f"/stand/v1/projects/{slug}").status_code == 200


@pytest.mark.parametrize(
    "host", ["run.banana.dev", "a.b.run.banana.dev", "banana.dev", "my-app.run.banana.dev.evil.test"]
)
def test_hosts_beside_project_names_are_refused(up: Up, host: str) -> None:
    answer = httpx2.post(f"http://127.0.0.1:{up.port}/", json={}, headers={"host": host, "x-banana-api-key": up.key})

    assert answer.status_code == 403


def test_a_front_which_wants_no_key_answers_to_no_other_name(up: Up) -> None:
    answer = httpx2.post(f"http://127.0.0.1:{FRONT}/", json={}, headers={"host": "my-app.run.banana.dev"})

    assert answer.status_code == 403


def test_the_published_sdk_calls_its_built_in_addresses_through_the_proxy(up: Up) -> None:
    code = (
        "import json\nfrom banana_dev import API, Client\n"
        f"client = Client({up.key!r}, url='https://my-app.run.banana.dev', verbosity='')\n"
        f"print(json.dumps([client.warmup()[0], client.call('/', {{'n': 2}})[0], API({up.key!r}).list_projects()]))"
    )
    ended = run(up, code)

    assert ended.returncode == 0, ended.stderr
    warm, answer, (listed, status) = json.loads(ended.stdout.splitlines()[-1])
    assert (warm, answer["got"], status) == ({"warm": True}, {"n": 2}, 200)
    assert [project["name"] for project in listed["results"]] == ["my-app"]


def test_the_first_generations_calls_reach_their_built_in_address_too(up: Up) -> None:
    key = up.http.get("/stand/v1/projects/my-app").json()["model_key"]
    code = (
        "import json\nfrom banana_dev.package import run\n"
        f"print(json.dumps(run({up.key!r}, {key!r}, {{'modelInputs': {{'a': 1}}, 'callInputs': {{'b': 2}}}})))"
    )
    ended = run(up, code)

    assert ended.returncode == 0, ended.stderr
    outputs = json.loads(ended.stdout.splitlines()[-1])["modelOutputs"]
    assert outputs[0]["got"] == {"modelInputs": {"a": 1}, "callInputs": {"b": 2}}


def test_requests_without_tls_pass_too(up: Up) -> None:
    with httpx2.Client(proxy=f"http://127.0.0.1:{PROXY}", trust_env=False) as client:
        headers = {"x-banana-api-key": up.key}
        answer = client.post("http://my-app.run.banana.dev/", json={"n": 3}, headers=headers)

    assert answer.json()["got"] == {"n": 3}


@pytest.mark.parametrize(
    "first",
    [
        "CONNECT example.com:443 HTTP/1.1", "CONNECT 127.0.0.1:22 HTTP/1.1", "CONNECT app.run.banana.dev:22 HTTP/1.1",
        "GET http://example.com/ HTTP/1.1", "CONNECT api.banana.dev.evil.test:443 HTTP/1.1",
    ],
)  # fmt: skip
def test_proxy_refuses_other_hosts_and_ports(up: Up, first: str) -> None:
    with socket.create_connection(("127.0.0.1", PROXY), timeout=20) as connection:
        connection.sendall(f"{first}\r\nHost: x\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()

    assert answer.startswith("HTTP/1.1 403 Forbidden")
    assert "is not served here: this proxy answers *.run.banana.dev, api.banana.dev" in answer


def test_the_authoritys_files_are_for_this_user_alone(up: Up) -> None:
    for name in ("ca.pem", "ca-key.pem", "bundle.pem"):
        assert stat.S_IMODE((up.data / "proxy" / name).stat().st_mode) == 0o600
    assert sorted(re.findall(r"export (\w+)=", up.log)) == [
        "CURL_CA_BUNDLE", "HTTPS_PROXY", "HTTP_PROXY", "NODE_EXTRA_CA_CERTS", "NODE_OPTIONS", "NO_PROXY",
        "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy",
    ]  # fmt: skip


def test_a_connection_that_begins_with_tls_is_one_to_banana(up: Up) -> None:
    """A hosts file that leads Banana's names here, and the proxy on port 443, need nothing of the program."""
    context = ssl.create_default_context(cafile=str(up.data / "proxy" / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", PROXY), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="my-app.run.banana.dev") as connection,
    ):
        request = (
            f"POST / HTTP/1.1\r\nHost: my-app.run.banana.dev\r\nX-Banana-API-Key: {up.key}\r\nConnection: close\r\n"
            'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"n":4}'
        )
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()

    assert answer.startswith("HTTP/1.1 200 OK")
    assert '"got":{"n":4}' in answer.replace(" ", "")


def test_a_request_that_names_https_in_its_first_line_is_answered(up: Up) -> None:
    """Old HTTP libraries of Node ask a proxy for an https address so, in place of CONNECT."""
    with socket.create_connection(("127.0.0.1", PROXY), timeout=20) as connection:
        request = (
            f"GET https://api.banana.dev/v1/projects HTTP/1.1\r\nHost: api.banana.dev\r\nX-Banana-API-Key: {up.key}"
            "\r\n\r\n"
        )
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()

    assert answer.startswith("HTTP/1.1 200 OK")
    assert "my-app" in answer
