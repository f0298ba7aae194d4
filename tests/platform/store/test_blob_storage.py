"""Blobs on a disk and in object stores: whole or not there, durable, private, bounded in memory and in time."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from bananastand.platform.errors import Refused, StoreError, StoreFull, StoreUnavailable
from bananastand.platform.store import object_store
from bananastand.platform.store.blob_storage import BlobStorage
from bananastand.platform.store.blobs import Blobs
from object_stores import BUCKET, Faults, S3Server, s3_server
from stands import until

PLATFORM = "11111111-2222-3333-4444-555555555555"
CALL = "call_0f5f3a1e-0000-4000-8000-000000000000"
MIB = 2**20
STORES = ("local", "file", "memory", "s3")


@pytest.fixture(scope="module")
def running_server() -> Iterator[tuple[S3Server, dict[str, str]]]:
    with s3_server() as (server, variables):
        yield server, variables


@pytest.fixture
def s3(running_server: tuple[S3Server, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> S3Server:
    server, variables = running_server
    server.faults.clear()
    server.requests.clear()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    kind = request.param
    if kind == "s3":
        request.getfixturevalue("s3")
    urls = {"file": (tmp_path / "shared").as_uri(), "memory": "memory://stand", "s3": f"s3://{BUCKET}/stand"}
    return f"{urls[kind]}/{uuid.uuid4().hex}" if kind in urls else None


@asynccontextmanager
async def opened(data: Path, url: str | None) -> AsyncGenerator[BlobStorage]:
    storage = BlobStorage(data, url, PLATFORM, 86_400.0)
    try:
        yield storage
    finally:
        await storage.close()


async def content_of(blobs: Blobs, name: str) -> bytes:
    return b"".join([chunk async for chunk in blobs.chunks(name)])


def file_of(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("url", STORES, indirect=True)
async def test_what_is_written_is_read_listed_and_deleted(tmp_path: Path, url: str | None) -> None:
    large, body, answer = os.urandom(20 * MIB + 17), f"{CALL}.body", f"{CALL}.answer"
    async with opened(tmp_path / "data", url) as storage:
        await storage.check()
        blobs = storage.bodies
        assert await blobs.size(body) is None
        assert await blobs.list() == []
        await blobs.put(answer, b"")
        await blobs.put(answer, b"an answer \x00\xff")
        unfinished = file_of(blobs.unfinished("upload"), large)
        await blobs.adopt(body, unfinished)
        assert not unfinished.exists()
        assert (await blobs.get(answer), await content_of(blobs, answer)) == (b"an answer \x00\xff",) * 2
        assert (await blobs.get(body), await content_of(blobs, body)) == (large, large)
        assert (await blobs.local(body)).read_bytes() == large
        assert (await blobs.size(body), await blobs.size(answer)) == (len(large), 12)
        assert sorted((one.name, one.size) for one in await blobs.list()) == [(answer, 12), (body, len(large))]
        await blobs.add("copy", file_of(tmp_path / "file", b"copied"))
        assert (await blobs.get("copy"), (tmp_path / "file").read_bytes()) == (b"copied", b"copied")
        await blobs.remove("never written")
        await blobs.remove_all([body, answer])
        await until(lambda: not (tmp_path / "data" / "bodies" / body).exists())
    async with opened(tmp_path / "data", url) as storage:
        assert [one.name for one in await storage.bodies.list()] == ["copy"]
        for name in (body, answer):
            with pytest.raises(StoreError):
                await storage.bodies.get(name)
            with pytest.raises(StoreError):
                await content_of(storage.bodies, name)


@pytest.mark.parametrize("url", STORES[1:], indirect=True)
async def test_another_machine_reads_what_one_has_written(tmp_path: Path, url: str) -> None:
    content = os.urandom(3 * MIB)
    async with opened(tmp_path / "a", url) as first, opened(tmp_path / "b", url) as second:
        await first.bodies.adopt(f"{CALL}.body", file_of(first.bodies.unfinished("x"), content))
        path = await second.bodies.local(f"{CALL}.body")
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o077 == 0
        assert await asyncio.gather(*(second.bodies.local(f"{CALL}.body") for _ in range(4))) == [path] * 4
        assert not list((tmp_path / "b").rglob("*.upload"))


@pytest.mark.parametrize("url", STORES, indirect=True)
async def test_leftovers_go_and_what_is_known_or_new_or_of_others_stays(
    tmp_path: Path, url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["call_aa.body", "call_bb.body", "call_bb.answer", "call_cc.answer"]
    async with opened(tmp_path / "data", url) as storage:
        for name in names:
            await storage.bodies.put(name, b"x" * 100_000)
        other = BlobStorage(tmp_path / "other", url, "another platform", 86_400.0)
        await other.bodies.put("call_zz.body", b"theirs")
        storage.bodies.sweep(lambda name: name == "call_bb")
        if url is not None:
            await asyncio.sleep(0.5)
            assert sorted(one.name for one in await storage.bodies.list()) == sorted(names), "they are new"
            now = time.time
            monkeypatch.setattr(time, "time", lambda: now() + 3 * 86_400)
            storage.bodies.sweep(lambda name: name == "call_bb")

        async def left() -> list[str]:
            return sorted(one.name for one in await storage.bodies.list())

        deadline = time.monotonic() + 20
        while await left() != ["call_bb.answer", "call_bb.body"]:
            assert time.monotonic() < deadline, await left()
            await asyncio.sleep(0.1)
        if url is not None:
            assert [one.name for one in await other.bodies.list()] == ["call_zz.body"]
        await other.close()


async def test_a_store_of_files_is_private(tmp_path: Path) -> None:
    async with opened(tmp_path / "data", (tmp_path / "shared").as_uri()) as storage:
        await storage.bodies.put("call_aa.body", b"secret")
    found = [path for path in (tmp_path / "shared").rglob("*") if path.stat().st_mode & 0o077]
    assert found == []


async def test_another_client_reads_what_is_in_s3_and_the_other_way_round(tmp_path: Path, s3: S3Server) -> None:
    client, large = boto3.client("s3"), os.urandom(18 * MIB)
    async with opened(tmp_path / "data", f"s3://{BUCKET}/folder") as storage:
        await storage.bodies.put("call_aa.answer", b"an answer")
        await storage.bodies.adopt("call_bb.body", file_of(storage.bodies.unfinished("x"), large))
        keys = {one["Key"]: one["Size"] for one in client.list_objects_v2(Bucket=BUCKET, Prefix="folder/")["Contents"]}
        assert keys == {
            f"folder/{PLATFORM}/bodies/call_aa.answer": 9,
            f"folder/{PLATFORM}/bodies/call_bb.body": len(large),
        }
        body = client.get_object(Bucket=BUCKET, Key=f"folder/{PLATFORM}/bodies/call_bb.body")["Body"].read()
        assert body == large
        client.put_object(Bucket=BUCKET, Key=f"folder/{PLATFORM}/bodies/call_cc.body", Body=b"theirs")
        assert await storage.bodies.get("call_cc.body") == b"theirs"
    assert any("partNumber=2" in path for _, path in s3.requests), "large ones are sent in parts"


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("PUT", Faults.status(500, "InternalError")),
        ("PUT", Faults.status(503, "SlowDown")),
        ("GET", Faults.status(500, "InternalError")),
        ("GET", Faults.cut),
        ("HEAD", Faults.status(503, "ServiceUnavailable")),
    ],
)
async def test_a_fault_that_passes_is_not_noticed(tmp_path: Path, s3: S3Server, method: str, fault: Any) -> None:
    content = os.urandom(20 * MIB)
    async with opened(tmp_path / "data", f"s3://{BUCKET}/faults") as storage:
        s3.fail(fault, method, times=2)
        await storage.bodies.adopt("call_aa.body", file_of(storage.bodies.unfinished("x"), content))
        assert await content_of(storage.bodies, "call_aa.body") == content
    assert s3.faults == []


async def test_a_store_that_does_not_answer_is_said_in_time(
    tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "PATIENCE", 1.5)
    async with opened(tmp_path / "data", f"s3://{BUCKET}/slow") as storage:
        s3.fail(Faults.slow(4.0), times=4)
        began = time.monotonic()
        with pytest.raises(
            StoreUnavailable, match=r"s3://bananas/slow/.* fails to write bodies/call_aa.body: .*\(for 2 s\)"
        ):
            await storage.bodies.put("call_aa.body", b"x")
        assert time.monotonic() - began < 3


async def test_a_store_that_refuses_connections_is_said_in_time(
    tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(object_store, "PAUSES", (0.1,))
    async with opened(tmp_path / "data", f"s3://{BUCKET}/refused") as storage:
        with pytest.raises(StoreUnavailable, match="Could not connect to the endpoint URL"):
            await storage.check()


@pytest.mark.parametrize(
    ("code", "name", "error", "message"),
    [
        (403, "AccessDenied", StoreError, "refuses to write bodies/call_aa.body: "),
        (403, "QuotaExceeded", StoreFull, "is full: free some space there"),
        (507, "XMinioStorageFull", StoreFull, "is full: free some space there"),
        (404, "NoSuchBucket", StoreError, "does not exist"),
    ],
)
async def test_a_refusal_is_final_and_says_why(
    tmp_path: Path, s3: S3Server, code: int, name: str, error: type[StoreError], message: str
) -> None:
    async with opened(tmp_path / "data", f"s3://{BUCKET}/refusals") as storage:
        s3.fail(Faults.status(code, name), "PUT")
        with pytest.raises(error, match=message):
            await storage.bodies.put("call_aa.body", b"x")
        assert await storage.bodies.size("call_aa.body") is None
    assert s3.faults == []


PROGRAM = f"""
import asyncio, os, sys
from pathlib import Path
from bananastand.platform.store.blob_storage import BlobStorage

async def main(data, url):
    storage = BlobStorage(Path(data), url, {PLATFORM!r}, 86400.0)
    content = os.urandom(40 * 2**20)
    file = storage.bodies.unfinished("x")
    file.write_bytes(content)
    print("begins", flush=True)
    await storage.bodies.adopt("call_kk.body", file)
    print("done", flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("url", ["file", "s3"], indirect=True)
async def test_an_upload_that_is_killed_is_not_there_and_its_parts_go(
    tmp_path: Path, url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = request.getfixturevalue("s3")
    if url.startswith("s3"):
        server.fail(Faults.slow(0.0), "PUT", times=2)
        server.fail(Faults.slow(5.0), "PUT")
    uploading = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path / "a", url], stdout=subprocess.PIPE, text=True
    )
    assert uploading.stdout is not None
    assert uploading.stdout.readline() == "begins\n"
    if url.startswith("s3"):
        await until(lambda: any("partNumber=3" in path for _, path in server.requests))
    uploading.kill()
    said = uploading.stdout.read()
    uploading.stdout.close()
    uploading.wait()
    async with opened(tmp_path / "b", url) as storage:
        size = await storage.bodies.size("call_kk.body")
        assert size == (40 * MIB if said or size else None)
        if url.startswith("s3"):
            client, prefix = boto3.client("s3"), url.removeprefix(f"s3://{BUCKET}/")
            assert size is None
            assert len(client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix)["Uploads"]) == 1
            now = time.time
            monkeypatch.setattr(time, "time", lambda: now() + 3 * 86_400)
            storage.bodies.sweep(lambda name: True)
            await until(lambda: "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix))


async def test_large_blobs_need_little_memory(tmp_path: Path, s3: S3Server) -> None:
    program = """
import asyncio, resource, sys
from pathlib import Path
from bananastand.platform.store.blob_storage import BlobStorage

async def main(data, url):
    storage = BlobStorage(Path(data), url, "platform", 86400.0)
    await storage.check()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    file = storage.bodies.unfinished("x")
    with open(file, "wb") as target:
        target.truncate(96 * 2**20)
    await storage.bodies.adopt("call_aa.body", file)
    storage.bodies.path("call_aa.body").unlink()
    await storage.bodies.local("call_aa.body")
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    await storage.close()

asyncio.run(main(*sys.argv[1:]))
"""
    run = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, tmp_path / "a", f"s3://{BUCKET}/large"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert int(run.stdout) < 64, "MiB for a blob of 96"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/srv/blobs", "--blobs takes a URL, such as s3://bucket/folder or file:///srv/blobs"),
        ("file://srv/blobs", "three slashes and an absolute path"),
        ("s3:/user:password@bucket/x", "--blobs takes a URL, such as .*, not bucket/x"),
        ("file://user:password@host/x", "--blobs file://host/x: a folder's URL has three slashes"),
        ("file:///a%00b", "NUL"),
        ("bananas://user:a/password@host/x", r"--blobs bananas://host/x/.*: Protocol not known: bananas"),
        ("bananas://user:password@host/x", r"--blobs bananas://host/x/.*: Protocol not known: bananas"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        BlobStorage(tmp_path, url, PLATFORM, 86_400.0)
    assert "password" not in str(caught.value)


def test_the_default_imports_no_client_of_object_stores_clusters_or_databases() -> None:
    names = ("fsspec", "s3fs", "ray", "psycopg", "psycopg_pool")
    program = f"import sys, bananastand.cli._platform_server; print([n for n in {names} if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert run.stdout == "[]\n"
