"""Programs with a fixed port as replicas: side by side, on loopback alone, in any language."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bananastand.platform.errors import ReplicaFailed
from bananastand.platform.launch import Launch
from bananastand.platform.replicas.moved_ports import PROGRAM, redirection_problem
from bananastand.platform.replicas.replica import Replica
from replicas import post, replica_of

pytestmark = pytest.mark.skipif(redirection_problem() is not None, reason="listening sockets are not moved here")

SERVER = """
import http.server, json, os, sys, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply({"state": "healthy"} if self.path == "/healthcheck" else {"pid": os.getpid()})
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        own = urllib.request.urlopen("http://localhost:8000/pid").read() if self.path == "/own" else b"{}"
        self.reply({"pid": os.getpid(), "own": json.loads(own)})
    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""
NODE = """
require("http").createServer((request, response) => {
  response.end(JSON.stringify({pid: process.pid}));
}).listen(8000, () => console.log("listening"));
"""


def listeners_beyond_loopback(pid: int) -> list[str]:
    """Listening TCP sockets of a process group that others than this machine could reach."""
    names = set[str]()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == pid:
                names |= {os.readlink(descriptor) for descriptor in (process / "fd").iterdir()}
        except OSError:
            continue
    found = list[str]()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            local = words[1].rpartition(":")[0]
            if words[3] == "0A" and f"socket:[{words[9]}]" in names and not local.endswith("0100007F"):
                found.append(words[1])
    return found


async def pid_of(replica: Replica, path: str = "/") -> tuple[int, int | None]:
    value = (await post(replica, {}, path)).json()
    return value["pid"], value.get("own", {}).get("pid")


@pytest.mark.parametrize(
    ("name", "text", "command"),
    [
        ("server.py", SERVER, ("python3", "-u", "server.py")),
        ("start.sh", f"exec {sys.executable} server.txt", ("/bin/sh", "start.sh")),
        pytest.param("server.js", NODE, ("node", "server.js"), marks=pytest.mark.needs("node")),
    ],
)
async def test_two_replicas_of_one_fixed_port_answer_each_for_itself_on_loopback(
    tmp_path: Path, name: str, text: str, command: tuple[str, ...]
) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "server.txt").write_text(SERVER)
    launch = Launch("process", command, str(tmp_path), python=sys.executable, port=8000)

    async with replica_of(launch) as one, replica_of(launch) as two:
        first, second = await pid_of(one), await pid_of(two)
        assert first[0] != second[0]
        for replica in (one, two):
            assert replica.pid is not None
            assert replica.address is not None
            assert replica.address[1] != 8000
            assert listeners_beyond_loopback(replica.pid) == []


async def test_a_program_that_calls_its_own_port_reaches_itself(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    launch = Launch("process", ("python3", "server.py"), str(tmp_path), python=sys.executable)

    async with replica_of(launch) as one, replica_of(launch) as two:
        for replica in (one, two):
            pid, own = await pid_of(replica, "/own")
            assert own == pid


def test_another_process_on_port_8000_is_not_taken_for_the_app(tmp_path: Path) -> None:
    """Whatever holds port 8000 of this machine, the replica that never listens is not ready, and says so."""
    (tmp_path / "silent.py").write_text("import time; print('silent', flush=True); time.sleep(60)")
    launch = Launch("process", ("python3", "silent.py"), str(tmp_path), python=sys.executable)

    async def scenario() -> None:
        async with replica_of(launch, timeout=2.0):
            pass

    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 8000))
            other.listen()
        except OSError:
            pass  # somebody holds it already, which is as good
        with pytest.raises(ReplicaFailed, match="nothing listens on port 8000 yet; its last lines: silent"):
            asyncio.run(scenario())


def moved(code: str) -> subprocess.CompletedProcess[str]:
    """A Python program under the redirection, and what was reported of it in its first line of output."""
    read, write = os.pipe()
    with os.fdopen(read) as events:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(PROGRAM), str(write), "--", sys.executable, "-c", code],
            pass_fds=[write], capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        os.close(write)
        done.stderr += events.read()
    return done


def test_binding_one_port_twice_fails_with_address_in_use() -> None:
    done = moved(
        "import socket\n"
        "one, two = socket.socket(), socket.socket()\n"
        "one.bind(('', 8000)); one.listen()\n"
        "try: two.bind(('0.0.0.0', 8000)); two.listen()\n"
        "except OSError as error: print(error.strerror)"
    )
    assert done.stdout == "Address already in use\n"


def test_ipv6_sockets_udp_and_unix_sockets_work_as_before(tmp_path: Path) -> None:
    done = moved(
        "import socket\n"
        "six = socket.socket(socket.AF_INET6); six.bind(('::', 8000)); six.listen()\n"
        "caller = socket.create_connection(('localhost', 8000)); print(six.accept()[0] is not None)\n"
        "udp = socket.socket(type=socket.SOCK_DGRAM); udp.bind(('127.0.0.1', 0)); print(udp.getsockname()[1] > 0)\n"
        f"unix = socket.socket(socket.AF_UNIX); unix.bind({str(tmp_path / 's')!r}); unix.listen(); print('unix')"
    )
    assert done.stdout == "True\nTrue\nunix\n", done.stderr
    assert '"bound": 8000' in done.stderr


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 15)", -15)])
def test_the_programs_exit_status_passes_through(code: str, status: int) -> None:
    assert moved(code).returncode == status


def test_connections_to_elsewhere_are_as_they_were() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = moved(f"import socket; socket.create_connection(('127.0.0.1', {port})); print('there')")
    assert done.stdout == "there\n"
