"""Websockets to an app's built-in host name through the forward proxy, with and without TLS."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx2
import pytest
from websockets.exceptions import InvalidProxyStatus, InvalidStatus
from websockets.sync.client import connect

from sdk_packages import exports
from servers import free_port
from stands import Up

PROXY = free_port()
PROGRAM = """
import asyncio, sys
from websockets.asyncio.client import connect

async def main():
    url, key = sys.argv[1:]
    async with connect(url + "/echo?q=1", additional_headers={"X-Banana-API-Key": key}, open_timeout=60) as websocket:
        for message in ("a banana", b"x" * 300_000):
            await websocket.send(message)
            assert await websocket.recv() == message
    print("code", websocket.close_code)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("websocket-proxy")
    with Up(folder / "data", proxy=PROXY) as running:
        environment = {"ENDED": str(folder / "ended")}
        assert running.deploy("my-app", "websocket", environment=environment)["state"] == "live", running.log
        yield running


@pytest.mark.parametrize("scheme", ["wss", "ws"])
def test_a_program_reaches_its_built_in_address_with_the_exports_alone(up: Up, scheme: str) -> None:
    words = [sys.executable, "-c", PROGRAM, f"{scheme}://my-app.run.banana.dev", up.key]
    environment = {**os.environ, **exports(up), "NO_PROXY": "", "no_proxy": ""}
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=90, check=False)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "code 1000"


def test_a_key_is_wanted_behind_the_proxy_too(up: Up) -> None:
    context = ssl.create_default_context(cafile=exports(up)["SSL_CERT_FILE"])
    proxy = f"http://127.0.0.1:{PROXY}"
    with pytest.raises(InvalidStatus) as refused, connect("wss://my-app.run.banana.dev/", proxy=proxy, ssl=context):
        pass

    assert refused.value.response.status_code == 401


def test_other_hosts_are_refused_for_websockets_too(up: Up) -> None:
    for url in ("ws://example.com/", "wss://my-app.run.banana.dev:8443/"):
        with pytest.raises(InvalidProxyStatus) as refused, connect(url, proxy=f"http://127.0.0.1:{PROXY}"):
            pass
        assert refused.value.response.status_code == 403


def test_a_handshake_in_absolute_form_passes(up: Up) -> None:
    head = [
        "GET http://my-app.run.banana.dev/echo HTTP/1.1", "Host: my-app.run.banana.dev", "Upgrade: websocket",
        "Connection: Upgrade", "Proxy-Connection: keep-alive", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"X-Banana-API-Key: {up.key}", "", "",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", PROXY), timeout=30) as connection:
        connection.sendall("\r\n".join(head).encode())
        answer = connection.recv(4096)
        connection.sendall(b"\x81\x82\x00\x00\x00\x00hi")
        echo = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 101 "), answer
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer  # for this key, in the protocol's document
    assert echo == b"\x81\x02hi"


def test_a_caller_that_vanishes_behind_the_proxy_ends_the_apps_side(up: Up) -> None:
    context = ssl.create_default_context(cafile=exports(up)["SSL_CERT_FILE"])
    options = {"proxy": f"http://127.0.0.1:{PROXY}", "ssl": context, "open_timeout": 60}
    headers = {"X-Banana-API-Key": up.key}
    with connect("wss://my-app.run.banana.dev/vanishes", additional_headers=headers, **options) as websocket:
        websocket.send("one")
        assert websocket.recv(timeout=30) == "one"
        websocket.socket.shutdown(socket.SHUT_RDWR)

    ended, limit = up.data.parent / "ended", time.monotonic() + 30
    while not (ended.exists() and "/vanishes" in ended.read_text()):
        assert time.monotonic() < limit, "the app's websocket is still open"
        time.sleep(0.05)


def test_a_run_url_that_is_spelled_otherwise_is_not_found(up: Up) -> None:
    headers = {"x-banana-api-key": up.key}
    url = f"http://127.0.0.1:{up.port}/banana/%72un/my-app/"

    assert httpx2.post(url, json={}, headers=headers, trust_env=False).status_code == 404
