"""A platform whose large files lie in a shared store: calls and versions survive the loss of a machine's disk."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.building.deployer import BuildRequest
from bananastand.platform.errors import StoreUnavailable
from bananastand.platform.launch import Launch
from bananastand.platform.platform import Platform
from bananastand.platform.store import object_store
from bananastand.platform.store.projects import Project
from object_stores import BUCKET, Faults, S3Server, s3_server
from paths import SUPPORT
from stands import called, deployed, outcome_of, running, until

LOST = ("bodies", "builds", "cache", "uploads")  # folders of a machine that another one does not have


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Any:
    with s3_server() as (server, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield server


def lose_disk(data: Path) -> None:
    for name in LOST:
        shutil.rmtree(data / name, ignore_errors=True)


async def stored(platform: Platform, project: Project) -> None:
    """Wait until a project's version is in the store."""
    assert platform.build_packs is not None
    async with asyncio.timeout(20):
        while not await platform.build_packs.has(project.live or ""):
            await asyncio.sleep(0.05)


def modes(folder: Path) -> dict[Path, int]:
    """Return what is in a folder, without what replicas write there."""
    own = re.compile(r"/(__pycache__|tree\.layers|tmp)(/|$)")
    found = (path for path in folder.rglob("*") if not own.search(str(path).removeprefix(str(folder))))
    return {path: path.lstat().st_mode for path in found}


async def build_once(order: BuildRequest) -> Launch:
    """Make a build with an environment and weights in the cache; a second build fails."""
    cache, tree = order.folder.parent.parent / "cache", order.folder / "tree"
    environment = cache / "environments" / "0123abc"
    assert not environment.exists(), "it is built again"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    (environment / ".bananastand").write_text(f"{order.folder}\n")
    weights = cache / "huggingface" / "hub" / "models--fruit--bowl" / "blobs" / "f00d"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights" * 100_000)
    tree.mkdir()
    shutil.copy(SUPPORT / "replica_app.py", tree)
    (tree / "weights.bin").symlink_to(weights)
    (order.folder / "source").mkdir()
    python = str(environment / "bin" / "python")
    return Launch("process", (python, "-S", "replica_app.py"), str(tree), python=python, root=str(tree))


async def test_a_call_and_its_answer_outlive_the_disk_of_the_machine(tmp_path: Path, s3: S3Server) -> None:
    store, body = f"s3://{BUCKET}/stand", json.dumps({"bytes": 300_000, "pad": "y" * 100_000}).encode()
    async with running(tmp_path, blobs=store) as platform:
        project = await deployed(platform)
        platform.dispatcher.stop_assigning()
        waiting = await platform.submit(project, "/large", body)
    lose_disk(tmp_path)
    async with running(tmp_path, blobs=store) as platform:
        found = await platform.dispatcher.find(waiting.call.id)
        assert found is not None
        outcome = await outcome_of(found)
        assert len(json.loads(outcome.body)["large"]) == 300_000
    lose_disk(tmp_path)
    async with running(tmp_path, blobs=store) as platform:
        again = await platform.dispatcher.find(waiting.call.id)
        assert again is not None
        assert await again.outcome() == outcome
        assert [one.name for one in await platform.blobs.bodies.list()] == [f"{waiting.call.id}.answer"]


async def test_what_the_store_does_not_take_is_not_acknowledged(
    tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "PAUSES", (0.1,))
    async with running(tmp_path, blobs=f"s3://{BUCKET}/stand") as platform:
        project = await deployed(platform)
        await stored(platform, project)
        refuse = Faults.status(503, "ServiceUnavailable")
        s3.fail(refuse, "PUT", times=2)
        with pytest.raises(StoreUnavailable, match="fails to write bodies/call_"):
            await platform.submit(project, "/", b" " * 100_000 + b"{}")
        assert not platform.dispatcher.queue(project.id).waiting
        s3.fail(refuse, "PUT", times=4)  # while the answer is written
        assert len((await called(platform, project, "/large", {"bytes": 300_000}))["large"]) == 300_000
    assert s3.faults == []


@pytest.mark.parametrize("kind", ["file", "s3"])
async def test_a_version_is_restored_where_its_files_are_lost(tmp_path: Path, s3: S3Server, kind: str) -> None:
    store = f"s3://{BUCKET}/stand" if kind == "s3" else (tmp_path / "shared").as_uri()
    data = tmp_path / "data"

    async with running(data, blobs=store, builder=build_once) as platform:
        await stored(platform, await deployed(platform))
        before = modes(data / "builds")
    lose_disk(data)
    async with running(data, blobs=store, builder=build_once) as platform:
        project = platform.projects.named("app")
        assert (await called(platform, project, value={"n": 1}))["got"] == {"n": 1}
        tree = data / "builds" / (project.live or "") / "tree"
        assert (tree / "weights.bin").read_bytes() == b"weights" * 100_000
        assert modes(data / "builds") == before
        assert platform.build_packs is not None
        assert platform.blobs.packs is not None
        await platform.build_packs.sweep({project.live or ""}, 0.0)
        assert len(await platform.blobs.packs.list()) == 4, "the record, the build, the environment and the weights"
        await platform.build_packs.sweep(set(), 0.0)
        await platform.blobs.packs.close()
        assert await platform.blobs.packs.list() == []


async def test_an_upload_outlives_the_disk_of_the_machine(tmp_path: Path, s3: S3Server) -> None:
    store, archives = f"s3://{BUCKET}/stand", list[bytes]()

    async def read(order: BuildRequest) -> Launch:
        archives.append(Path(order.source).read_bytes())
        return Launch("process", (sys.executable, "-S", str(SUPPORT / "replica_app.py")), str(SUPPORT))

    async def hang(order: BuildRequest) -> Launch:
        await asyncio.sleep(3600)
        raise AssertionError

    archive = tmp_path / "archive"
    archive.write_bytes(b"an archive")
    data = tmp_path / "data"
    async with running(data, blobs=store, builder=hang) as platform:
        build = platform.deploy("app", str(archive), archive=archive)
        await platform.deployer.keep_archive(build)
    lose_disk(data)
    async with running(data, blobs=store, builder=read) as platform:
        await until(lambda: platform.builds.get(build.id).state == "live")
        await platform.blobs.uploads.close()
        assert await platform.blobs.uploads.list() == []
    assert archives == [b"an archive"]
