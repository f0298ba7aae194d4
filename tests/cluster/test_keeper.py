"""A node's keeper without Ray: files of builds, environments, replicas and their end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from bananastand.cluster.build_files import BuildFiles
from bananastand.cluster.environments import Recipe, find_environment, look_into, why_unequal
from bananastand.cluster.keeper import Keeper, _listening_ports
from bananastand.cluster.node_files import NodeFiles, NodeUnfit
from bananastand.cluster.relay_client import Door
from bananastand.cluster.remote_replica import RemoteReplica
from bananastand.cluster.versions import own_versions, version_problem
from bananastand.cluster.wire import order_from_message, order_message
from bananastand.platform.errors import StoreFull
from bananastand.platform.launch import Launch
from bananastand.platform.nodes import ReplicaOrder, Resources
from bananastand.platform.replicas.reaper import start_reaper
from paths import SUPPORT
from stands import until

ADDRESS = "127.0.0.1"


def build_in(data: Path) -> Launch:
    """A build as the process builder makes one: a file tree, and weights that are links into the shared cache."""
    root = data / "builds" / "b1" / "stage0" / "root"
    (root / "app").mkdir(parents=True)
    (root / "app" / "app.py").write_text((SUPPORT / "replica_app.py").read_text())
    (root / "here").symlink_to(root / "app")
    weights = data / "cache" / "huggingface" / "hub" / "blobs" / "0123"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"w" * 100_000)
    lent = data / "builds" / "b1" / "huggingface"
    lent.mkdir()
    (lent / "model.bin").symlink_to(weights)
    (data / "builds" / "b1" / "source").mkdir()
    (data / "builds" / "b1" / "source" / "not-sent").write_text("x")
    environment = {"HF_HOME": str(lent), "SHARED": f"/usr:{data}/cache/huggingface", "TAKES": "3"}
    return Launch("process", (sys.executable, "-S", f"{root}/app/app.py"), f"{root}/app", environment)


async def ship(files: BuildFiles, node: NodeFiles, order: ReplicaOrder) -> tuple[dict[str, Any], list[str]]:
    """Send a node what it lacks; returns the description, and what was sent."""
    shipment = await files.describe(order)
    needs = await node.missing(shipment)
    for need in needs:
        chunks = await files.chunks(shipment, need)
        await node.receive(need, need.get("digest", ""), chunks)
    return shipment, [need["kind"] for need in needs]


async def test_a_build_is_sent_once_and_its_paths_lead_to_the_node(tmp_path: Path) -> None:
    data, node = tmp_path / "front", NodeFiles(tmp_path / "node")
    order = ReplicaOrder("r1", "p1", "b1", build_in(data))

    shipment, sent = await ship(BuildFiles(data), node, order)
    launch, held = await node.localize(order.launch, shipment)
    _, sent_again = await ship(BuildFiles(data), node, order)

    assert (sent, sent_again) == (["build", "file"], [])
    assert held is not None
    folder = held.path
    assert folder.is_relative_to(tmp_path / "node" / "builds")
    assert launch.workdir == str(folder / "stage0" / "root" / "app")
    assert launch.command[-1] == str(folder / "stage0" / "root" / "app" / "app.py")
    assert launch.environment["HF_HOME"] == str(folder / "huggingface")
    assert launch.environment["SHARED"] == f"/usr:{tmp_path}/node/cache/huggingface"
    assert (folder / "huggingface" / "model.bin").read_bytes() == b"w" * 100_000
    assert os.readlink(folder / "huggingface" / "model.bin").startswith(f"{tmp_path}/node/cache/huggingface/")
    assert (folder / "stage0" / "root" / "here" / "app.py").exists()
    assert os.readlink(folder / "stage0" / "root" / "here").startswith(str(folder))
    assert not (folder / "source").exists()
    held.release()


async def test_a_disk_without_space_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "front"
    order = ReplicaOrder("r1", "p1", "b1", build_in(data))
    monkeypatch.setenv("BANANASTAND_DATA", str(tmp_path / "data"))

    async def unpack(*arguments: object, **more: object) -> None:
        raise StoreFull("the disk is full: free some space, nothing new is taken until then")

    async with keeper_in(tmp_path) as keeper:
        monkeypatch.setattr("bananastand.cluster.node_files.PackCache.unpack", unpack)
        files = BuildFiles(data)
        shipment = await files.describe(order)
        (need, _) = (await keeper.missing(shipment))["needs"]
        await keeper.expect(1)
        receiving = asyncio.create_task(keeper.receive(1, need, "0" * 64))
        await asyncio.sleep(0)
        for _ in range(20):  # more than wait for the disk at once: nobody hangs
            await asyncio.wait_for(keeper.chunk(1, b"x" * 1000), 5)

        problem = await asyncio.wait_for(receiving, 5)

        assert "its disk is full" in problem["full"]
        assert str(tmp_path / "data") in problem["full"]


def make_environment(prefix: Path, **packages: str) -> Path:
    """Make a small environment; returns its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    for name, version in packages.items():
        (site,) = prefix.glob("lib/python3*/site-packages")
        about = site / f"{name}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (site / f"{name}.py").write_text(f"version = {version!r}\n")
    return prefix / "bin" / "python"


async def test_an_environment_that_a_node_lacks_is_copied_to_the_same_path(tmp_path: Path) -> None:
    data, node = tmp_path / "front", NodeFiles(tmp_path / "node")
    python = make_environment(tmp_path / "environment", fruit="1.2")
    launch = Launch("process", ("python3", "app.py"), build_in(data).workdir, python=str(python))
    order, files = ReplicaOrder("r1", "p1", "b1", launch), BuildFiles(data)
    shipment = await files.describe(order)
    assert await NodeFiles(tmp_path / "same").missing({**shipment, "files": []}) == [
        {"kind": "build", "folder": f"{data}/builds/b1", "size": shipment["build"]["size"]}
    ]  # the environment is there
    environment = {"kind": "environment", "folder": str(tmp_path / "environment")}
    chunks = [chunk async for chunk in await files.chunks(shipment, environment)]
    (tmp_path / "environment").rename(tmp_path / "elsewhere")
    assert environment["kind"] in [need["kind"] for need in await node.missing(shipment)]

    async def again() -> AsyncGenerator[bytes]:
        for chunk in chunks:
            yield chunk

    await node.receive(environment, environment["digest"], again())

    code = "import fruit; print(fruit.version)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1.2\n"
    assert [need["kind"] for need in await node.missing(shipment)] == ["build", "file"]


async def test_an_environment_with_other_packages_at_that_path_is_named_and_stays(tmp_path: Path) -> None:
    recipe = await look_into(str(make_environment(tmp_path / "environment", fruit="1.2")))
    assert recipe is not None
    packages = {"fruit": "1.3", "peel": "2.0"}
    shipment = {"build": None, "files": [], "environment": {**_message(recipe), "packages": packages}}
    shipment["build"] = {"folder": "/none", "digest": "0" * 64, "size": 0}

    with pytest.raises(NodeUnfit, match=r"fruit 1\.2, not 1\.3, peel is missing, not 2\.0.*remove"):
        await NodeFiles(tmp_path / "node").missing(shipment)

    assert (tmp_path / "environment" / "bin" / "python").exists()


def _message(recipe: Recipe) -> dict[str, Any]:
    return {"python": recipe.python, "version": recipe.version, "prefix": recipe.prefix, "base": recipe.base}


async def test_a_node_uses_its_own_environment_where_it_has_at_least_the_same_packages(tmp_path: Path) -> None:
    own = await look_into(sys.executable)
    assert own is not None
    few = dict(list(own.packages.items())[:5])
    absent = Recipe(str(tmp_path / "none" / "bin" / "python"), own.version, str(tmp_path / "none"), own.base, few)

    assert await find_environment(absent, {}) == (sys.executable, ())
    assert why_unequal(Recipe("", "2.7", "", "", {}), own) == f"its Python is {own.version}, not 2.7"


@asynccontextmanager
async def keeper_in(folder: Path) -> AsyncGenerator[Keeper]:
    """A keeper on loopback without TLS."""
    keeper = Keeper()
    options = {"platform": folder.name, "address": ADDRESS, "name": "node-1", "gpus": 2, "front": None}
    settings = {"isolation": "none", "network": True, "processes": None, "memory_mb": None, "fork_servers": 0}
    keeper.facts = await keeper.open({**options, "encrypted": False, "cgroups": False, "settings": settings})  # type: ignore[attr-defined]
    try:
        yield keeper
    finally:
        await keeper.close()


async def test_a_replica_is_started_reached_reported_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANANASTAND_DATA", str(tmp_path / "data"))
    launch = Launch("process", (sys.executable, "-S", str(SUPPORT / "replica_app.py")), str(SUPPORT))
    order = ReplicaOrder("r1", "p1", "v1", launch, secrets={"TOKEN": "of a test"}, gpus=("1",))
    lines = list[str]()
    async with keeper_in(tmp_path) as keeper:
        facts = await keeper.start(order_message(order), None)
        replica = RemoteReplica("r1", lines.append, lambda kind, **fields: None)
        door = Door(ADDRESS, keeper.facts["relay"], "", None)  # type: ignore[attr-defined]
        await replica.begin(facts, "node-1", door)

        async def follow() -> None:
            while True:
                for event in await keeper.events():
                    if event.get("replica") == "r1":
                        replica.note(event)

        following = asyncio.create_task(follow())
        await until(lambda: replica.port in replica.addresses and "a line of the app, of a test" in lines)
        assert replica.gpu == "1"
        assert psutil.Process(replica.pid).environ()["CUDA_VISIBLE_DEVICES"] == "1"
        host, port = replica.addresses[replica.port]
        await until(lambda: port in _listening_ports(replica.pid))
        reader, writer = await _open(replica, host, port)
        writer.write(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.transport.abort()
        for other_host, other_port in ((host, keeper.facts["relay"]), ("192.0.2.1", port)):  # type: ignore[attr-defined]
            with pytest.raises(ConnectionRefusedError, match="is none of replica r1's"):
                await _open(replica, other_host, other_port)

        await keeper.kill("r1")
        await until(lambda: replica.status is not None)
        assert replica.status == -9
        assert not replica.was_killed_from_outside
        await keeper.clean_up("r1")
        assert not psutil.pid_exists(replica.pid)
        following.cancel()


async def test_what_an_app_prints_faster_than_it_travels_is_dropped_and_counted() -> None:
    keeper = Keeper()
    for number in range(1_000_000):
        keeper._add_line("r1", f"a line {number}")
    events = await keeper.events()

    assert sum(len(event["line"]) for event in events) < 4 * 2**20
    lines = [event for event in events if event["kind"] == "line"]
    assert lines == [{"kind": "line", "replica": "r1", "line": f"a line {number}"} for number in range(len(lines))]
    assert events[len(lines):] == [
        {"kind": "log", "replica": "r1",
         "line": f"{1_000_000 - len(lines)} lines are dropped: it prints faster than they travel"},
    ]  # fmt: skip
    keeper._add_line("r1", "later")
    assert [event["line"] for event in await keeper.events()] == ["later"]


async def _open(replica: RemoteReplica, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    assert replica.connect is not None
    transport, protocol = await replica.connect(lambda: asyncio.StreamReaderProtocol(reader), host, port)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def test_a_start_that_was_given_up_meanwhile_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANANASTAND_DATA", str(tmp_path / "data"))
    launch = Launch("process", (sys.executable, "-S", str(SUPPORT / "replica_app.py")), str(SUPPORT))
    order = order_message(ReplicaOrder("r1", "p1", "v1", launch, gpus=()))
    async with keeper_in(tmp_path) as keeper:
        starting = asyncio.create_task(keeper.start(order, None))
        await asyncio.sleep(0)
        await keeper.clean_up("r1")

        assert (await starting).keys() == {"failed"}
        assert not [process for process in psutil.process_iter() if _has_mark(process, f"{tmp_path.name}@{ADDRESS}")]


async def test_a_keeper_says_whether_its_node_can_move_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bananastand.cluster.keeper.redirection_problem", lambda: "no seccomp")
    async with keeper_in(tmp_path) as keeper:
        assert keeper.facts["port_problem"] == "no seccomp"  # type: ignore[attr-defined]


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get("BANANASTAND_STAND") == mark
    except psutil.Error:
        return False


def test_what_a_killed_keeper_leaves_is_killed() -> None:
    mark = f"BANANASTAND_TEST_MARK={os.getpid()}"
    name, _, value = mark.partition("=")
    code = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], " \
           "start_new_session=True); time.sleep(60)"  # fmt: skip
    held = start_reaper(mark)
    program = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, name: value}, start_new_session=True)
    time.sleep(0.5)
    children = psutil.Process(program.pid).children()
    assert program.poll() is None

    os.close(held)

    assert program.wait(10) == -9
    assert psutil.wait_procs(children, 10)[1] == []


def test_orders_survive_the_wire() -> None:
    order = ReplicaOrder(
        "r1", "p1", "v1", Launch("process", ("a",), "/w", port=80), "potassium", 3, {"A": "b"},
        Resources(0.5, 24.0, 100, {"gpu": "a100"}), may_share_gpu=True, gpus=("0", "1"),
    )  # fmt: skip
    assert order_from_message(order_message(order)) == order


@pytest.mark.parametrize(
    ("part", "other", "text"),
    [
        ("bananastand", "0.0.1", "node n1 has Bananastand 0.0.1, and this platform has"),
        ("ray", "2.59.0", "node n1 has Ray 2.59.0, and this platform has"),
        ("python", "3.9.1", "node n1 has Python 3.9.1, and this platform has"),
        ("protocol", "0", "node n1 has another build of Bananastand"),
        ("machine", "Linux armv7", "node n1 is a Linux armv7, and this platform builds for"),
    ],
)
def test_other_versions_on_a_node_are_refused_with_what_to_do(part: str, other: str, text: str) -> None:
    pytest.importorskip("ray")
    own = own_versions()

    assert version_problem(own, dict(own), "n1") is None
    assert text in str(version_problem(own, {**own, part: other}, "n1"))


def test_a_newer_patch_of_python_is_no_problem() -> None:
    pytest.importorskip("ray")
    own = own_versions()
    assert version_problem({**own, "python": "3.11.1"}, {**own, "python": "3.11.9"}, "n1") is None
