"""Peak memory of the platform, `bananastand serve` and the mocks under attack: idle, and what a setting bounds."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from servers import free_port, hosted, mocks
from stands import Up

MIB = 2**20
CALLS, EACH = 16, 60 * MIB


def memory(pid: int, key: str = "VmRSS") -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(key)


def peak(pid: int, attack: Callable[[], None]) -> tuple[int, int]:
    """Bytes that the process holds before the attack, and at most during it."""
    idle = memory(pid)
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # from now on
    attack()
    return idle, memory(pid, "VmHWM")


def send_headers(port: int) -> None:
    """200 MB in one header, and two million headers."""
    for piece, count in ((b"a" * MIB, 200), (b"x: a\r\n" * 20_000, 100)):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-long: ")
            for _ in range(count):
                connection.sendall(piece)


def stay_silent(port: int) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
        time.sleep(1)


@contextlib.contextmanager
def bodies(port: int, path: str, size: int, *, left: int = 0, kind: str = "application/json") -> Iterator[None]:
    """As many bodies at once, all but the last bytes of each, where some are to be left."""

    def send(number: int) -> None:
        with contextlib.suppress(OSError):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=120))
            head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\n\r\n"
            connection.sendall(head.encode() + b'"')
            for _ in range((size - 2 - left) // MIB):
                connection.sendall(b"x" * MIB)
            if not left:
                connection.sendall(b"x" * ((size - 2) % MIB) + b'"')

    with contextlib.ExitStack() as stack:
        threads = [threading.Thread(target=send, args=(number,)) for number in range(CALLS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield


def say(name: str, idle: int, most: int) -> None:
    sys.stdout.write(f"{name}: {idle / MIB:.0f} MiB idle, {most / MIB:.0f} MiB at most\n")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="looks into /proc")
def test_the_platform_holds_no_body(tmp_path: Path) -> None:
    front = free_port()
    with Up(tmp_path / "data", fronts=[[front, "app"]]) as up:
        up.http.post("/stand/v1/projects/app/deploy", json={"source": "hangs"})

        def attack() -> None:
            send_headers(up.port)
            stay_silent(front)
            with bodies(front, "/", EACH), bodies(front, "/", EACH, left=MIB):
                limit = time.monotonic() + 60
                while up.http.get("/stand/v1/status").json()["queued"] < CALLS:
                    assert time.monotonic() < limit
                    time.sleep(0.2)

        idle, most = peak(up.process.pid, attack)
        say("the platform", idle, most)
        assert most <= 1.5 * idle


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="looks into /proc")
def test_a_hosted_app_holds_what_its_setting_says() -> None:
    with hosted() as server:

        def attack() -> None:
            send_headers(server.port)
            stay_silent(server.port)
            with bodies(server.port, "/", 30 * MIB, left=MIB):
                time.sleep(1)

        idle, most = peak(server.process.pid, attack)
        say("bananastand serve", idle, most)
        assert most <= 1.5 * idle + 256 * MIB


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="looks into /proc")
def test_background_tasks_of_a_hosted_app_take_no_threads_of_their_own() -> None:
    with hosted("--background-queue", "50") as server:
        before = psutil.Process(server.process.pid).num_threads()
        statuses = [server.post("/background", {"seconds": 0.05})[0] for _ in range(2000)]
        after = psutil.Process(server.process.pid).num_threads()

    assert set(statuses) == {200, 429}
    assert after <= before + 2


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="looks into /proc")
def test_the_mocks_hold_what_their_setting_says() -> None:
    with mocks() as server:

        def attack() -> None:
            send_headers(server.port)
            stay_silent(server.port)
            with bodies(server.port, "/banana/start/v4", EACH, left=MIB):
                time.sleep(1)

        idle, most = peak(server.process.pid, attack)
        say("the mocks", idle, most)
        assert most <= 1.5 * idle + 256 * MIB
