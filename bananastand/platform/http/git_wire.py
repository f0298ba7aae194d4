"""Git's HTTP protocol: packets, the commands of a push, request bodies, and git itself as a subprocess."""

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

from bananastand.asgi.bodies import ClientDisconnected, body_chunks

from ..environment import inherited

__all__ = [
    "GitRefused",
    "PushCommands",
    "Receive",
    "Send",
    "begin_response",
    "end_response",
    "exit_status",
    "output_of",
    "packet",
    "printed_text",
    "read_push",
    "receive_body",
    "run_git",
    "send_chunk",
]

CHUNK = 32_768
MAX_COMMANDS = 2**20  # bytes of the commands of a push
Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class PushCommands:
    """The commands before the pack of a push, as (old, new, ref), and whether the client reads the side band."""

    commands: tuple[tuple[bytes, bytes, bytes], ...]
    side_band: bool


class GitRefused(Exception):
    """The request is refused.

    Attributes:
        status: The HTTP status.
        allow: The methods that are allowed, for 405.
    """

    def __init__(self, status: int, text: str, *, allow: str = "") -> None:
        super().__init__(text)
        self.status, self.allow = status, allow


def packet(content: bytes) -> bytes:
    """Return content as a packet: four hexadecimal digits of its length before it."""
    return b"%04x" % (len(content) + 4) + content


def read_push(body: Any) -> PushCommands:
    """Read the commands of a push from its body, a file. Raises GitRefused."""
    body.seek(0)
    commands, capabilities, read = list[tuple[bytes, bytes, bytes]](), b"", 0
    while True:
        head = body.read(4)
        try:
            length = int(head, 16) if len(head) == 4 else -1
        except ValueError:
            length = -1
        if length == 0:
            break
        read += length
        if length < 4 or read > MAX_COMMANDS:
            raise GitRefused(400, "the body is no git push")
        line, _, options = body.read(length - 4).rstrip(b"\n").partition(b"\0")
        capabilities = capabilities or options
        if line.startswith((b"shallow ", b"push-cert")):
            continue
        parts = line.split(b" ", 2)
        if len(parts) != 3 or len(parts[0]) != 40 or len(parts[1]) != 40:
            raise GitRefused(400, "the body is no git push")
        commands.append((parts[0], parts[1], parts[2]))
    return PushCommands(tuple(commands), b"side-band-64k" in capabilities.split())


async def receive_body(file: Any, receive: Receive, headers: dict[bytes, bytes], limit: int) -> None:
    """Write a request's body to a file, decompressed.

    Args:
        file: The file.
        receive: ASGI's, of the request.
        headers: The request's.
        limit: The largest allowed size in bytes, decompressed.

    Raises:
        GitRefused: The body is too long, incomplete, or compressed in another way than gzip.
    """
    encoding = headers.get(b"content-encoding", b"").lower()
    if encoding not in (b"", b"identity", b"gzip", b"x-gzip"):
        raise GitRefused(415, "the body may be compressed with gzip only")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding.endswith(b"gzip") else None
    size = 0
    try:
        async for chunk in body_chunks(receive):
            while chunk:
                data = inflate.decompress(chunk, CHUNK) if inflate else chunk
                chunk = inflate.unconsumed_tail if inflate else b""
                size += len(data)
                if size > limit:
                    raise GitRefused(413, f"the push is larger than {limit} bytes")
                file.write(data)
    except zlib.error:
        raise GitRefused(400, "the body is not gzip") from None
    except ClientDisconnected:
        raise GitRefused(400, "the body is incomplete") from None
    file.flush()
    file.seek(0)


async def run_git(
    *arguments: str, at: Path | None = None, stdin: Any = None, protocol: bytes = b""
) -> asyncio.subprocess.Process:
    """Start git in a session of its own, without the settings of the machine and the user.

    Args:
        arguments: The command and its arguments.
        at: The folder to run in.
        stdin: A file for its standard input.
        protocol: The request's Git-Protocol header.
    """
    environment = inherited(os.environ)
    environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    if re.fullmatch(rb"version=[0-2]", protocol):
        environment["GIT_PROTOCOL"] = protocol.decode()
    safe = ["-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "receive.denyNonFastForwards=false"]
    safe += ["-c", "gc.auto=0", "-c", "receive.fsckObjects=true", "-c", "receive.autogc=false"]
    if stdin is not None:
        os.lseek(stdin.fileno(), 0, os.SEEK_SET)  # a seek of the file itself may stay within what it has buffered
    return await asyncio.create_subprocess_exec(
        "git", *safe, *(("-C", str(at)) if at else ()), *arguments,
        stdin=stdin if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=environment, start_new_session=True,
    )  # fmt: skip


async def exit_status(*arguments: str, at: Path) -> int:
    """Run git and return its exit status; 127 if it is not installed."""
    try:
        process = await run_git(*arguments, at=at)
    except FileNotFoundError:
        return 127
    await process.communicate()
    return process.returncode or 0


async def printed_text(*arguments: str, at: Path) -> str:
    """Run git and return what it prints; an empty text if it fails."""
    try:
        process = await run_git(*arguments, at=at)
    except FileNotFoundError:
        return ""
    output, _ = await process.communicate()
    return (output or b"").decode("utf-8", "replace").strip() if process.returncode == 0 else ""


async def output_of(process: asyncio.subprocess.Process) -> AsyncGenerator[bytes]:
    """Yield what git prints; closing the generator kills git."""
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


async def begin_response(send: Send, content_type: bytes) -> None:
    """Begin a response of status 200."""
    headers = [(b"content-type", content_type), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def send_chunk(send: Send, content: bytes) -> None:
    """Send a chunk of the response's body."""
    if content:
        await send({"type": "http.response.body", "body": content, "more_body": True})


async def end_response(send: Send) -> None:
    """End the response."""
    await send({"type": "http.response.body", "body": b"", "more_body": False})
