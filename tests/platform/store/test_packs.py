"""Equal folders make equal packs, and a pack becomes the folder that was packed, or no folder at all."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from bananastand.platform.errors import StoreError, StoreFull
from bananastand.platform.store.blobs import Blobs
from bananastand.platform.store.pack_cache import PackCache
from bananastand.platform.store.packs import Packs, unpack_into

MIB = 2**20


def make_folder(folder: Path, moment: float = 1e9) -> Path:
    (folder / "app" / "empty").mkdir(parents=True)
    (folder / "app" / "app.py").write_text("import weights\n")
    (folder / "app" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "app" / "run.sh").chmod(0o755)
    (folder / "app" / "closed").write_text("")
    (folder / "app" / "closed").chmod(0o600)
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 20_000)
    os.link(folder / "weights.bin", folder / "same-weights.bin")
    (folder / "app" / "python").symlink_to(sys.executable)
    (folder / "app" / "here").symlink_to(folder / "app" / "app.py")
    (folder / "app" / "nowhere").symlink_to("../../../etc/nothing")
    with open(folder / "sparse", "wb") as file:
        file.truncate(20 * MIB)
    (folder / os.fsdecode(b"latin\xe9")).write_text("x")
    (folder / ("long" * 50)).mkdir()
    (folder / ("long" * 50) / ("name" * 50)).write_text("y")
    for path in folder.rglob("*"):
        os.utime(path, (moment, moment), follow_symlinks=False)
    return folder


def listing(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return what everything in a folder is: its mode, and its content or where it leads."""
    found = dict[str, tuple[object, ...]]()
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        content = os.readlink(path) if path.is_symlink() else None if path.is_dir() else hash(path.read_bytes())
        found[str(path.relative_to(folder))] = (oct(mode), content)
    return found


async def pieces(content: bytes, size: int = 100_000) -> AsyncGenerator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


def archive(*members: tuple[str, bytes, str | bytes]) -> bytes:
    """Return a tar of members, each with its name, its type, and its content or the name it leads to."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if isinstance(content, str):
                member.linkname = content
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content if isinstance(content, bytes) else b""))
    return file.getvalue()


async def test_a_pack_unpacks_to_the_folder_that_was_packed(tmp_path: Path) -> None:
    folder, packs = make_folder(tmp_path / "build"), Packs(Blobs(tmp_path / "packs"))
    pack = await packs.pack(folder)
    size = await unpack_into(tmp_path / "copy", pack.digest, packs.open(pack.digest))
    copy = tmp_path / "copy"
    assert listing(copy) == listing(folder)
    assert os.path.samefile(copy / "weights.bin", copy / "same-weights.bin")
    assert (copy / "sparse").stat().st_blocks * 512 < MIB
    assert size == 20 * MIB + 256 * 20_000 + len("import weights\n#!/bin/sh\nxy")
    assert (copy.stat().st_mode & 0o777, (tmp_path / "packs" / pack.digest).stat().st_mode & 0o777) == (0o700, 0o600)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build", "copy", "packs"]


async def test_equal_folders_are_one_pack_whenever_and_by_whomever_they_are_made(tmp_path: Path) -> None:
    packs = Packs(Blobs(tmp_path / "packs"))
    first, second = make_folder(tmp_path / "a", 1e9), make_folder(tmp_path / "b", 2e9)
    (second / "app" / "here").unlink()
    (second / "app" / "here").symlink_to(first / "app" / "app.py")
    os.utime(first / "app" / "here", (3e9, 3e9), follow_symlinks=False)
    if os.geteuid() == 0:
        os.chown(second / "weights.bin", 1234, 1234)
    pack = await packs.pack(first)
    assert await packs.pack(second) == pack
    assert [path.name for path in (tmp_path / "packs").iterdir()] == [pack.digest]
    (second / "app" / "app.py").chmod(0o755)
    other = await packs.pack(second)
    assert other.digest != pack.digest
    assert await packs.pack(second, without={"app/app.py"}) != other


async def test_other_programs_read_a_pack_and_count_its_digest(tmp_path: Path) -> None:
    folder, packs = make_folder(tmp_path / "build"), Packs(Blobs(tmp_path / "packs"))
    pack, copy = await packs.pack(folder), tmp_path / "copy"
    copy.mkdir()
    file = tmp_path / "packs" / pack.digest
    counted = subprocess.run(["sha256sum", file], check=True, capture_output=True, text=True).stdout.split()[0]
    subprocess.run(["tar", "-xpf", file, "-C", copy], check=True, stderr=subprocess.DEVNULL)
    assert (counted, file.stat().st_size) == (pack.digest, pack.size)
    assert listing(copy) == listing(folder)


async def test_pythons_bytecode_is_still_valid_where_it_is_unpacked(tmp_path: Path) -> None:
    folder, packs = tmp_path / "build", Packs(Blobs(tmp_path / "packs"))
    folder.mkdir()
    (folder / "slow.py").write_text("value = 41 + 1\n")
    subprocess.run([sys.executable, "-m", "compileall", "-q", folder], check=True)
    pack = await packs.pack(folder)
    await unpack_into(tmp_path / "copy", pack.digest, packs.open(pack.digest))
    program = [sys.executable, "-v", "-c", "import slow; assert slow.value == 42"]
    run = subprocess.run(program, cwd=tmp_path / "copy", check=True, capture_output=True, text=True)
    assert [line for line in run.stderr.splitlines() if "slow" in line and "matches" in line]
    (folder / "slow.py").write_text("value = 42 + 0\n")  # as long as before
    os.utime(folder / "slow.py", (5e8, 5e8))
    pack = await packs.pack(folder)
    await unpack_into(tmp_path / "new", pack.digest, packs.open(pack.digest))
    run = subprocess.run(program, cwd=tmp_path / "new", check=True, capture_output=True, text=True)
    assert not [line for line in run.stderr.splitlines() if "slow" in line and "matches" in line]


async def test_packing_and_unpacking_need_little_memory(tmp_path: Path) -> None:
    folder = tmp_path / "build"
    folder.mkdir()
    with open(folder / "weights", "wb") as file:
        for _ in range(256):
            file.write(os.urandom(MIB))
    program = """
import asyncio, resource, sys
from pathlib import Path
from bananastand.platform.store.blobs import Blobs
from bananastand.platform.store.packs import Packs, unpack_into

async def main(folder):
    packs = Packs(Blobs(folder / "packs"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pack = await packs.pack(folder / "build")
    await unpack_into(folder / "copy", pack.digest, packs.open(pack.digest))
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)

asyncio.run(main(Path(sys.argv[1])))
"""
    run = subprocess.run([sys.executable, "-c", program, tmp_path], check=True, capture_output=True, text=True)
    assert int(run.stdout) < 48, "MiB for a pack of 256"


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("../outside", tarfile.REGTYPE, b"x"),
        ("{root}/outside", tarfile.REGTYPE, b"x"),
        ("a/../../outside", tarfile.REGTYPE, b"x"),
        ("../outside", tarfile.SYMTYPE, "x"),
        ("outside", tarfile.LNKTYPE, "../secret"),
        ("outside", tarfile.LNKTYPE, "{root}/secret"),
        ("device", tarfile.CHRTYPE, b""),
        ("pipe", tarfile.FIFOTYPE, b""),
    ],
)
async def test_what_leads_out_of_the_folder_is_refused(
    tmp_path: Path, name: str, kind: bytes, content: str | bytes
) -> None:
    (tmp_path / "secret").write_text("secret")
    content = content.format(root=tmp_path) if isinstance(content, str) else content
    hostile = archive(("a", tarfile.DIRTYPE, b""), (name.format(root=tmp_path), kind, content))
    with pytest.raises(StoreError):
        await unpack_into(tmp_path / "cache" / "copy", hashlib.sha256(hostile).hexdigest(), pieces(hostile))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cache", "secret"]


async def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    hostile = archive(
        ("way", tarfile.SYMTYPE, str(tmp_path / "victim")),
        ("way/file", tarfile.REGTYPE, b"x"),
        ("way/link", tarfile.SYMTYPE, "/"),
    )
    with pytest.raises(StoreError):
        await unpack_into(tmp_path / "copy", hashlib.sha256(hostile).hexdigest(), pieces(hostile))
    assert [path.name for path in tmp_path.rglob("*")] == ["victim"]


@pytest.mark.parametrize("damage", [lambda content: content[:-5000], lambda content: content[:700_000],
                                    lambda content: content[:600] + b"!" + content[601:], lambda content: b"",
                                    lambda content: content + b"more"])  # fmt: skip
async def test_a_damaged_pack_leaves_nothing(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    folder, packs = make_folder(tmp_path / "build"), Packs(Blobs(tmp_path / "packs"))
    (folder / "sparse").unlink()
    pack = await packs.pack(folder)
    content = damage((tmp_path / "packs" / pack.digest).read_bytes())
    cache = PackCache(tmp_path / "cache")
    with pytest.raises(StoreError, match="damaged|incomplete"):
        await cache.unpack(pack.digest, pieces(content))
    assert list(cache.folder.iterdir()) == []


async def test_a_source_that_breaks_off_or_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    folder, packs = make_folder(tmp_path / "build"), Packs(Blobs(tmp_path / "packs"))
    pack, cache, waits = await packs.pack(folder), PackCache(tmp_path / "cache"), asyncio.Event()

    async def broken(error: Exception | None) -> AsyncGenerator[bytes]:
        yield (tmp_path / "packs" / pack.digest).read_bytes()[: 3 * MIB]
        waits.set()
        if error is not None:
            raise error
        await asyncio.sleep(60)

    with pytest.raises(ConnectionResetError):
        await cache.unpack(pack.digest, broken(ConnectionResetError()))
    assert list(cache.folder.iterdir()) == []
    waits.clear()
    task = asyncio.create_task(cache.unpack(pack.digest, broken(None)))
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(cache.folder.iterdir()) == []
    with await cache.unpack(pack.digest, packs.open(pack.digest)) as copy:
        assert listing(copy) == listing(folder)


async def test_many_who_want_one_pack_unpack_it_once(tmp_path: Path) -> None:
    folder, packs = make_folder(tmp_path / "build"), Packs(Blobs(tmp_path / "packs"))
    pack, read = await packs.pack(folder), 0

    async def counted() -> AsyncGenerator[bytes]:
        nonlocal read
        read += 1
        async for chunk in packs.open(pack.digest):
            yield chunk

    caches = [PackCache(tmp_path / "cache") for _ in range(2)]
    held = await asyncio.gather(*(caches[number % 2].unpack(pack.digest, counted()) for number in range(8)))
    assert (read, {one.path for one in held}) == (1, {tmp_path / "cache" / pack.digest})
    for one in held:
        one.release()


def test_a_node_that_is_killed_while_it_unpacks_starts_again_clean(tmp_path: Path) -> None:
    folder, packs = make_folder(tmp_path / "build"), Packs(Blobs(tmp_path / "packs"))
    pack = asyncio.run(packs.pack(folder))
    program = """
import asyncio, os, signal, sys
from pathlib import Path
from bananastand.platform.store.pack_cache import PackCache

async def chunks(file, part):
    yield file.read_bytes()[:-2_000_000]
    while not (part / "app" / "app.py").exists():
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

async def main(file, cache):
    await PackCache(cache).unpack(file.name, chunks(file, cache / f".{file.name}.part"))

asyncio.run(main(*map(Path, sys.argv[1:])))
"""
    file, cache = tmp_path / "packs" / pack.digest, tmp_path / "cache"
    killed = subprocess.run([sys.executable, "-c", program, file, cache], check=False)
    assert killed.returncode == -9
    assert (cache / f".{pack.digest}.part" / "app" / "app.py").exists()
    assert not (cache / pack.digest).exists()
    PackCache(cache).shrink()
    assert list(cache.iterdir()) == []
    subprocess.run([sys.executable, "-c", program, file, cache], check=False)
    with asyncio.run(PackCache(cache).unpack(pack.digest, packs.open(pack.digest))) as copy:
        assert listing(copy) == listing(folder)
    assert sorted(path.name for path in cache.iterdir()) == [pack.digest, f"{pack.digest}.lock"]


async def test_the_cache_deletes_the_longest_unused_and_none_in_use(tmp_path: Path) -> None:
    packs, digests = Packs(Blobs(tmp_path / "packs")), list[str]()
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "weights").write_bytes(bytes([number]) * MIB)
        digests.append((await packs.pack(tmp_path / str(number))).digest)
    cache = PackCache(tmp_path / "cache", 2 * MIB)

    async def use(number: int) -> None:
        (await cache.unpack(digests[number], packs.open(digests[number]), size=MIB)).release()
        os.utime(cache.folder / f"{digests[number]}.lock", (moments[number], moments[number]))

    def names() -> set[int]:
        return {digests.index(path.name) for path in cache.folder.iterdir() if path.is_dir()}

    moments = [time.time() - 100 + number for number in range(4)]
    first = await cache.unpack(digests[0], packs.open(digests[0]))
    for number in (1, 2):
        await use(number)
    assert names() == {0, 2}, "1 is older than 2, and 0 is in use"
    moments[0] = moments[0] - 1000
    await use(0)
    await use(3)
    assert names() == {0, 3}
    other = PackCache(tmp_path / "cache", 0)
    other.shrink()
    assert names() == {0}, "the other process sees that it is in use"
    first.release()
    other.shrink()
    assert list(cache.folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
async def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    folder, disk = tmp_path / "build", tmp_path / "disk"
    packs = Packs(Blobs(tmp_path / "packs"))
    for place in (folder, disk):
        place.mkdir()
    (folder / "weights").write_bytes(os.urandom(8 * MIB))
    pack = await packs.pack(folder)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        cache = PackCache(disk / "cache")
        with pytest.raises(StoreFull, match="the disk is full"):
            await cache.unpack(pack.digest, packs.open(pack.digest))
        assert list(cache.folder.iterdir()) == []
        with pytest.raises(StoreFull, match="the disk is full"):
            await Packs(Blobs(disk / "packs")).pack(folder)
        assert list((disk / "packs").iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)
