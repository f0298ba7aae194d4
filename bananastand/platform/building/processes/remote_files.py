"""ADD of an address: fetches a file or a git repository into a stage's files, and caches it."""

from __future__ import annotations

import asyncio
import hashlib
import posixpath
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from ..commands import run
from ..errors import DockerfileError
from ..failure import decisive_line
from ..log import LineRecorder
from ..root_filesystem import RootFilesystem

__all__ = ["download"]

FETCH = """
import shutil, sys, urllib.error, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=60) as answer, open(sys.argv[2], "wb") as file:
        shutil.copyfileobj(answer, file, 1 << 20)
except urllib.error.HTTPError as error:
    sys.exit(f"ERROR: {error.code} Client Error: {error.reason}")
except OSError as error:
    sys.exit(f"ERROR: {error}")
"""


async def download(
    line: int, address: str, rootfs: RootFilesystem, target: str, *, cache: Path, log: Callable[[str], None]
) -> None:
    """Fetch an address to `target`, a folder if it ends with a slash. Raises DockerfileError."""
    is_git = address.startswith(("git@", "git://", "ssh://")) or urlsplit(address).path.endswith(".git")
    cached = cache / "fetched" / hashlib.sha256(address.encode()).hexdigest()[:32]
    recorder = LineRecorder(log)
    if not cached.exists():
        fresh = cached.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        source, _, ref = address.partition("#")
        if is_git:
            words = [
                "git",
                "clone",
                "--quiet",
                "--depth=1",
                *(("--branch", ref) if ref else ()),
                source,
                str(fresh / "all"),
            ]
        else:
            words = [sys.executable, "-I", "-c", FETCH, address, str(fresh / "file")]
        if await run(words, log=recorder):
            shutil.rmtree(fresh, ignore_errors=True)
            raise DockerfileError(line, f"ADD {address} failed: {decisive_line(recorder.lines)}")
        fresh.replace(cached)
    else:
        log("  as in an earlier build")
    if is_git:
        place = rootfs.at(target)
        await asyncio.to_thread(
            shutil.copytree,
            cached / "all",
            place,
            dirs_exist_ok=True,
            symlinks=True,
            ignore=shutil.ignore_patterns(".git"),
        )
        return
    name = posixpath.basename(urlsplit(address).path)
    if target.endswith("/") and not name:
        raise DockerfileError(line, f"ADD {address}: the address has no file name, so the target must name a file")
    place = rootfs.at(posixpath.join(target, name) if target.endswith("/") else target)
    place.parent.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(shutil.copyfile, cached / "file", place)
