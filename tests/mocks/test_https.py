"""The mocks over HTTPS, and by the services' own host names through the forward proxy, with published clients."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest

import bananastand_mocks
from bananastand_mocks.running import RunningServer

TOKEN = "at_r0123456789abcdef0123456789abcdef"
BANANA_KEY = "11111111-1111-1111-1111-111111111111"
MODELS = f"https://api.lowcodeapi.com/falai/v1/models?limit=1&api_token={TOKEN}"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with bananastand_mocks.start(tls=True, proxy=True) as running:
        yield running


def client(server: RunningServer) -> httpx2.Client:
    trusted = ssl.create_default_context(cafile=server.environment["SSL_CERT_FILE"])
    return httpx2.Client(verify=trusted, proxy=server.environment["HTTPS_PROXY"], trust_env=False, timeout=60)


def run(server: RunningServer, *command: str) -> str:
    """Return what a program of a user's prints, which has the server's variables set."""
    environment = {**os.environ, **server.environment}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_main_port_speaks_https_to_clients_that_trust_the_authority(server: RunningServer) -> None:
    trusted = ssl.create_default_context(cafile=server.environment["SSL_CERT_FILE"])
    address = f"{server.endpoint('falai').base_url}/v1/models?api_token={TOKEN}"

    assert address.startswith("https://127.0.0.1:")
    assert httpx2.get(address, verify=trusted).status_code == 200
    assert httpx2.get(address.replace("127.0.0.1", "localhost"), verify=trusted).status_code == 200
    with pytest.raises(httpx2.ConnectError, match="certificate verify failed"):
        httpx2.get(address)


@pytest.mark.parametrize(
    ("method", "address", "headers"),
    [
        ("GET", MODELS, {}),
        ("GET", f"https://api.lowcodeapi.com/bananadev/v1/models?api_token={TOKEN}", {}),
        ("GET", "https://api.fal.ai/v1/models?limit=1", {}),
        ("GET", "https://gobananasai.com/api/profile", {"X-API-Key": "sk_live_bananastand"}),
        ("GET", "https://api.banana.dev/v1/projects", {"X-Banana-API-Key": BANANA_KEY}),
        ("POST", "https://value.run.banana.dev/", {"X-Banana-API-Key": BANANA_KEY}),
        ("GET", "https://api.paperbanana.me/api/health", {}),
        ("GET", "http://api.paperbanana.me/api/health", {}),
    ],
)
def test_each_service_answers_at_its_own_address_through_the_proxy(
    server: RunningServer, method: str, address: str, headers: dict[str, str]
) -> None:
    with client(server) as http:
        response = http.request(method, address, headers=headers, json={} if method == "POST" else None)

    assert response.status_code == 200, response.text


def test_addresses_in_an_answer_have_the_services_own_host(server: RunningServer) -> None:
    with client(server) as http:
        created = http.post(
            "https://gobananasai.com/api/images",
            headers={"X-API-Key": "sk_live_bananastand"},
            json={"prompt": "a pear", "model": "gemini-flash-image"},
        ).json()
        text = json.dumps(created)
        address = text[text.index("https://") :].partition('"')[0]
        picture = http.get(address)

    assert address.startswith("https://gobananasai.com/")
    assert "/gobananas/" not in address
    assert picture.status_code == 200
    assert picture.headers["content-type"].startswith("image/")


def test_an_error_before_the_mock_has_the_dialect_of_the_host(server: RunningServer) -> None:
    with client(server) as http:
        response = http.get("https://gobananasai.com/api/profile", headers={"X-Long": "x" * 100_000})

    assert response.status_code == 431
    assert set(response.json()) == {"error", "code"}


def test_the_proxy_refuses_other_hosts_and_says_what_to_do(server: RunningServer) -> None:
    with client(server) as http:
        response = http.get("http://api.example.com/v1")

    assert response.status_code == 403
    assert response.text.startswith("api.example.com:80 is not served here: this proxy answers *.run.banana.dev, ")
    assert response.text.endswith("start the mocks with --tunnel to pass others on, or put them into NO_PROXY\n")


def test_a_tunnel_passes_other_hosts_on(server: RunningServer) -> None:
    with bananastand_mocks.start("falai", proxy=True, tunnel=True) as other:
        trusted = ssl.create_default_context(cafile=server.environment["SSL_CERT_FILE"])
        proxy = other.environment["HTTPS_PROXY"]
        with httpx2.Client(verify=trusted, proxy=proxy, trust_env=False, timeout=60) as http:
            assert http.get(f"{server.url}/paperbanana/api/health").json()["status"] == "ok"
            assert http.get(f"{other.url}/lowcodeapi/falai/v1/models", params={"api_token": TOKEN}).status_code == 200
            unreachable = http.get("http://127.0.0.1:9/")

    assert unreachable.status_code == 502
    assert "127.0.0.1:9 cannot be reached" in unreachable.text


def test_the_published_sdk_calls_its_built_in_addresses(server: RunningServer) -> None:
    code = (
        "import json\nfrom banana_dev import API, Client\nfrom banana_dev.package import run\n"
        f"client = Client({BANANA_KEY!r}, url='https://value.run.banana.dev', verbosity='')\n"
        f"first = run({BANANA_KEY!r}, 'value', {{'prompt': 'a pear'}})\n"
        f"print(json.dumps([list(client.call('/', {{'prompt': 'a pear'}})[0]), first['message'], "
        f"API({BANANA_KEY!r}).list_projects()[1]]))"
    )
    outputs, message, status = json.loads(run(server, sys.executable, "-c", code).splitlines()[-1])

    assert (status, message) == (200, "")
    assert outputs


def test_httpx_and_requests_find_proxy_and_authority_in_the_environment(server: RunningServer) -> None:
    code = f"import httpx, requests\nprint(httpx.get({MODELS!r}).status_code, requests.get({MODELS!r}).status_code)"

    assert run(server, sys.executable, "-c", code) == "200 200\n"


@pytest.mark.needs("curl")
def test_curl_finds_them_too(server: RunningServer) -> None:
    assert run(server, "curl", "-sS", "-o", os.devnull, "-w", "%{http_code} %{scheme}", MODELS).upper() == "200 HTTPS"


@pytest.mark.needs("node")
def test_nodes_fetch_reaches_the_mocks_with_the_hook(server: RunningServer) -> None:
    code = f"fetch({json.dumps(MODELS)}).then((answer) => console.log(answer.status))"

    assert run(server, "node", "-e", code) == "200\n"
