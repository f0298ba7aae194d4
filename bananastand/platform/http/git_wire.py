"""The wire of git over HTTP: packets, a push's head, bodies counted as they come, and git itself as a program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import zlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..environment import inherited

__all__ = [
    "GitRefused", "Push", "Receive", "Send", "answer", "begin", "end", "git", "keep", "more", "output_of", "packet",
    "read_push", "status_of", "text_of",
]  # fmt: skip

CHUNK = 32_768
COMMANDS = 2**20  # bytes of what a push says it does
Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Push:
    """What the head of a push says: (old, new, ref) of each, and what the client can."""

    commands: tuple[tuple[bytes, bytes, bytes], ...]
    side_band: bool


class GitRefused(Exception):
    """Status and words for the client; `allow` are the methods that would do."""

    def __init__(self, status: int, text: str, *, allow: str = "") -> None:
        super().__init__(text)
        self.status, self.allow = status, allow


def packet(content: bytes) -> bytes:
    return b"%04x" % (len(content) + 4) + content


def read_push(body: Any) -> Push:
    """The commands before the pack. Raises GitRefused."""
    body.seek(0)
    found, can, read = list[tuple[bytes, bytes, bytes]](), b"", 0
    while True:
        head = body.read(4)
        try:
            length = int(head, 16) if len(head) == 4 else -1
        except ValueError:
            length = -1
        if length == 0:
            break
        read += length
        if length < 4 or read > COMMANDS:
            raise GitRefused(400, "the body is no push of git's")
        line, _, more = body.read(length - 4).rstrip(b"\n").partition(b"\0")
        can = can or more
        if line.startswith((b"shallow ", b"push-cert")):
            continue
        parts = line.split(b" ", 2)
        if len(parts) != 3 or len(parts[0]) != 40 or len(parts[1]) != 40:
            raise GitRefused(400, "the body is no push of git's")
        found.append((parts[0], parts[1], parts[2]))
    return Push(tuple(found), b"side-band-64k" in can.split())


async def keep(body: Any, receive: Receive, headers: dict[bytes, bytes], largest: int) -> None:
    """The request's body as a file, inflated, counted as it comes. Raises GitRefused."""
    packed = headers.get(b"content-encoding", b"").lower()
    if packed not in (b"", b"identity", b"gzip", b"x-gzip"):
        raise GitRefused(415, "the body may be packed with gzip only")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if packed.endswith(b"gzip") else None
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GitRefused(400, "the body is not whole")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        while chunk:
            try:
                piece = inflate.decompress(chunk, CHUNK) if inflate else chunk
            except zlib.error:
                raise GitRefused(400, "the body is not gzip") from None
            chunk = inflate.unconsumed_tail if inflate else b""
            size += len(piece)
            if size > largest:
                raise GitRefused(413, f"the push is larger than {largest} bytes")
            body.write(piece)
    body.flush()
    body.seek(0)


async def git(
    *arguments: str, at: Path | None = None, given: Any = None, protocol: bytes = b""
) -> asyncio.subprocess.Process:
    """git, in a session of its own, without this machine's settings and without the caller's."""
    environment = inherited(os.environ)
    environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    if re.fullmatch(rb"version=[0-2]", protocol):
        environment["GIT_PROTOCOL"] = protocol.decode()
    safe = ["-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "receive.denyNonFastForwards=false"]
    safe += ["-c", "gc.auto=0", "-c", "receive.fsckObjects=true", "-c", "receive.autogc=false"]
    if given is not None:
        os.lseek(given.fileno(), 0, os.SEEK_SET)  # a seek of the file itself may stay within what it has buffered
    return await asyncio.create_subprocess_exec(
        "git", *safe, *(("-C", str(at)) if at else ()), *arguments,
        stdin=given if given is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=environment, start_new_session=True,
    )  # fmt: skip


async def status_of(*arguments: str, at: Path) -> int:
    try:
        process = await git(*arguments, at=at)
    except FileNotFoundError:
        return 127
    await process.communicate()
    return process.returncode or 0


async def text_of(*arguments: str, at: Path) -> str:
    """What git prints; nothing where it fails."""
    try:
        process = await git(*arguments, at=at)
    except FileNotFoundError:
        return ""
    said, _ = await process.communicate()
    return (said or b"").decode("utf-8", "replace").strip() if process.returncode == 0 else ""


async def output_of(process: asyncio.subprocess.Process) -> AsyncGenerator[bytes]:
    """What git says, as it comes; it does not outlive the one who asked."""
    assert process.stdout is not None
    try:
        while chunk := await process.stdout.read(CHUNK):
            yield chunk
        await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def begin(send: Send, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def more(send: Send, content: bytes) -> None:
    if content:
        await send({"type": "http.response.body", "body": content, "more_body": True})


async def end(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def answer(
    send: Send, status: int, kind: bytes, body: bytes, more: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [(b"content-type", kind), (b"cache-control", b"no-cache"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *(more or [])]})
    await send({"type": "http.response.body", "body": body})
