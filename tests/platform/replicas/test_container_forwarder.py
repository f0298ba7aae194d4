"""Apps in a container that listen elsewhere than the published port leads to: a network of its own stands in for it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from bananastand.platform.launch import Launch
from bananastand.platform.nodes import ReplicaOrder
from bananastand.platform.replicas import container_forwarder, startup_probe
from bananastand.platform.replicas.local_replica import LocalReplica
from bananastand.platform.replicas.start_command import StartCommand
from bananastand.platform.replicas.starter import start_process
from bananastand.platform.replicas.startup_probe import StartupProbe

ORDER = ReplicaOrder("r1", "p", "d", Launch("container", (), "/"))
APP = """
import fcntl, http.server, os, socket, struct, sys, threading, time
with socket.socket() as probe:  # loopback of a new network is down
    fcntl.ioctl(probe, 0x8914, struct.pack("16sh", b"lo", 0x49))
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = str(self.server.server_address[1]).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(name))); self.end_headers()
        self.wfile.write(name)
    def log_message(self, *words): pass
class Six(http.server.HTTPServer):
    address_family = socket.AF_INET6
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()
for place in sys.argv[1:]:
    if place.startswith("/"):
        unix = socket.socket(socket.AF_UNIX); unix.bind(place); unix.listen(); continue
    host, _, port = place.rpartition(":")
    server = (Six if ":" in host else http.server.HTTPServer)((host, int(port)), Answer)
    threading.Thread(target=server.serve_forever).start()
print("listens", flush=True)
time.sleep(60)
"""
ENGINE = """#!/bin/sh
[ "$1" = inspect ] && echo {pid}
[ "$1" = exec ] && echo 'exec: python3: not found' && exit 127
exit 0
"""


@pytest.fixture
def run_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., StartCommand]]:
    """Start an app on some addresses in a network of its own, and a podman that knows it by its process."""
    if os.geteuid() != 0:
        pytest.skip("entering another network needs root")
    running = list[subprocess.Popen[str]]()

    def run(*places: str, variable: str = "r1") -> StartCommand:
        app = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-S", "-c", APP, *places],
            stdout=subprocess.PIPE, text=True, env={"BANANASTAND_REPLICA": variable},
        )  # fmt: skip
        running.append(app)
        assert app.stdout is not None
        assert app.stdout.readline() == "listens\n"
        engine = tmp_path / "podman"
        engine.write_text(ENGINE.format(pid=app.pid))
        engine.chmod(0o755)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            published = int(probe.getsockname()[1])
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PORT": "8000", "BANANASTAND_REPLICA": "r1"}
        return StartCommand(("sleep", "60"), None, environment, published, container="app", engine=str(engine))

    monkeypatch.setattr(startup_probe, "FORWARD_AFTER", 0.0)
    yield run
    for app in running:
        app.kill()
        app.wait()
        if app.stdout is not None:
            app.stdout.close()


def probed(start: StartCommand, check: Callable[[StartupProbe], Awaitable[bool]], seconds: float = 10.0) -> str:
    """Probe until `check` holds; returns the last progress."""

    async def scene() -> str:
        program = LocalReplica(ORDER, start, await start_process(start, lambda line: None), None)
        probe = StartupProbe("r1")
        try:
            async with asyncio.timeout(seconds):
                while not (await probe.is_ready(program) or await check(probe)):
                    await asyncio.sleep(0.05)
            assert await check(probe), probe.progress
            return probe.progress
        finally:
            await probe.close()
            await program.stop(0.0)

    return asyncio.run(scene())


def answers(body: bytes) -> Callable[[StartupProbe], Awaitable[bool]]:
    async def check(probe: StartupProbe) -> bool:
        if probe.address is None:
            return False
        try:
            reader, writer = await asyncio.open_connection(*probe.address)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            received = await reader.read()
        except OSError:
            return False
        writer.close()
        return received.endswith(b"\r\n\r\n" + body)

    return check


@pytest.mark.needs("unshare")
@pytest.mark.parametrize(
    "places",
    [
        ("127.0.0.1:8000",), ("::1:8000",), (":::8000",), ("127.0.0.5:8000",), ("0.0.0.0:8000",),
        ("0.0.0.0:9090", "127.0.0.1:8000"), ("127.0.0.1:7000", "::1:8000", "127.0.0.1:9000"),
    ],
)  # fmt: skip
def test_an_app_on_the_expected_port_is_reached_wherever_it_listens(
    places: tuple[str, ...], run_app: Callable[..., StartCommand]
) -> None:
    if any("::" in place for place in places) and not socket.has_ipv6:
        pytest.skip("no IPv6 here")

    progress = probed(run_app(*places), answers(b"8000"))

    assert progress == "GET /healthcheck answered 200"


@pytest.mark.needs("unshare")
def test_an_app_on_another_port_is_reached_after_a_while_the_public_one_first(
    run_app: Callable[..., StartCommand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_forwarder, "OTHER_PORT", 1.0)

    probed(run_app("127.0.0.1:4000", "0.0.0.0:5000"), answers(b"5000"))


@pytest.mark.needs("unshare")
def test_before_that_the_progress_says_where_it_listens(run_app: Callable[..., StartCommand]) -> None:
    async def check(probe: StartupProbe) -> bool:
        return "listens" in probe.progress

    progress = probed(run_app("127.0.0.1:5000"), check)

    assert progress.endswith("no answer; in its container it listens on 127.0.0.1:5000")


@pytest.mark.needs("unshare")
def test_an_app_on_a_unix_socket_alone_is_reported(run_app: Callable[..., StartCommand], tmp_path: Path) -> None:
    async def check(probe: StartupProbe) -> bool:
        return "Unix" in probe.progress

    progress = probed(run_app(f"{tmp_path}/app.sock"), check)

    assert progress.endswith(f"in its container it listens on no port, but on the Unix socket {tmp_path}/app.sock")


@pytest.mark.needs("unshare")
def test_the_network_of_another_process_with_that_id_is_not_entered(run_app: Callable[..., StartCommand]) -> None:
    async def check(probe: StartupProbe) -> bool:
        return "no program can forward" in probe.progress

    progress = probed(run_app("127.0.0.1:8000", variable="another"), check)

    assert progress.endswith(
        "no program can forward to it: exec: python3: not found; let it listen on 0.0.0.0 and the expected port, or "
        "deploy with --builder process"
    )
