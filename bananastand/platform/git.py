"""Git over HTTP: `git push` deploys. An ASGI app around `git receive-pack --stateless-rpc`; knows no build.

A push is taken into a bare repository, the pushed commit is checked out, and `deploy` is called; what it says comes
back to the pusher as lines that begin with "remote:". Only pushing is served, and fetching what was pushed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import os
import re
import shutil
import signal
import tempfile
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

__all__ = ["Git"]

PATH = re.compile(
    r"/git/(?P<name>[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?)\.git/(?P<rest>info/refs|git-receive-pack|git-upload-pack)"
)
SERVICES = ("git-receive-pack", "git-upload-pack")
DEPLOYED = (b"refs/heads/main", b"refs/heads/master")
ZERO = b"0" * 40
CHUNK = 32_768
LONGEST_LINE = 900  # bytes of a line to the pusher; a packet of the side band takes 999 of old clients
BEAT = 5.0  # seconds between empty packets, while a build says nothing
COMMANDS = 2**20  # bytes of what a push says it does
Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class _Push:
    """What the head of a push says: (old, new, ref) of each, and what the client can."""

    commands: tuple[tuple[bytes, bytes, bytes], ...]
    side_band: bool


class _Refused(Exception):
    """Status and words for the client."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Git:
    """The ASGI app, to be mounted at /git. folder: of the repositories. opens: whether a key is valid.

    deploy: called with the project's name and a folder that holds the pushed commit; it owns the folder. Its lines go
    to the pusher. largest: bytes of a push. Raises nothing to the server: what fails is said to the client.
    """

    def __init__(
        self,
        folder: Path,
        opens: Callable[[str], bool],
        deploy: Callable[[str, Path], AsyncIterator[str]],
        *,
        largest: int = 2 * 2**30,
    ) -> None:
        self._folder, self._opens, self._deploy, self._largest = folder, opens, deploy, largest
        self._locks = dict[str, asyncio.Lock]()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request of git's."""
        if scope["type"] != "http":
            return
        try:
            found = PATH.fullmatch(scope["path"])
            if found is None:
                raise _Refused(404, "there is no such repository; its address is /git/PROJECT.git")
            headers = {name.lower(): value for name, value in scope["headers"]}
            if not self._may(headers.get(b"authorization", b"")):
                raise _Refused(401, "a key of the stand is the password, with any name")
            await self._serve(scope, headers, found["name"], found["rest"], receive, send)
        except _Refused as refused:
            more = [(b"www-authenticate", b'Basic realm="bananastand"')] if refused.status == 401 else []
            await _answer(send, refused.status, b"text/plain; charset=utf-8", f"{refused}\n".encode(), more)

    def _may(self, header: bytes) -> bool:
        scheme, _, value = header.partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return False
        return self._opens(password) or (not password and self._opens(user))

    async def _serve(
        self, scope: dict[str, Any], headers: dict[bytes, bytes], name: str, rest: str, receive: Receive, send: Send
    ) -> None:
        if rest == "info/refs":
            if scope["method"] != "GET":
                raise _Refused(405, "only GET here")
            service = parse_qs(scope["query_string"].decode("latin-1")).get("service", [""])[0]
            if service not in SERVICES:
                raise _Refused(403, "this server speaks git's smart protocol only")
            await self._refs(name, service, headers, send)
            return
        if scope["method"] != "POST":
            raise _Refused(405, "only POST here")
        if headers.get(b"content-type", b"").decode("latin-1") != f"application/x-{rest}-request":
            raise _Refused(415, f"the body must be application/x-{rest}-request")
        with tempfile.TemporaryFile(dir=self._made(self._folder)) as body:
            await _keep(body, receive, headers, self._largest)
            if rest == "git-upload-pack":
                await self._upload(name, body, headers, send)
            else:
                async with self._locks.setdefault(name, asyncio.Lock()):
                    await self._push(name, body, headers, send)

    async def _refs(self, name: str, service: str, headers: dict[bytes, bytes], send: Send) -> None:
        repository = self._folder / f"{name}.git"
        if service == "git-receive-pack":
            await self._repository(name)
        elif not repository.is_dir():
            raise _Refused(404, f"nothing was pushed to {name} yet")
        command = [service.removeprefix("git-"), "--stateless-rpc", "--advertise-refs", str(repository)]
        process = await _git(*command, protocol=headers.get(b"git-protocol", b""))
        said, _ = await process.communicate()
        if process.returncode:
            raise _Refused(500, "git failed; the stand's log says why")
        line = f"# service={service}\n".encode()
        await _answer(send, 200, f"application/x-{service}-advertisement".encode(), _packet(line) + b"0000" + said)

    async def _upload(self, name: str, body: Any, headers: dict[bytes, bytes], send: Send) -> None:
        repository = self._folder / f"{name}.git"
        if not repository.is_dir():
            raise _Refused(404, f"nothing was pushed to {name} yet")
        command = ["upload-pack", "--stateless-rpc", str(repository)]
        await _begin(send, b"application/x-git-upload-pack-result")
        async for chunk in _output(await _git(*command, given=body, protocol=headers.get(b"git-protocol", b""))):
            await _more(send, chunk)
        await _end(send)

    async def _push(self, name: str, body: Any, headers: dict[bytes, bytes], send: Send) -> None:
        """Take the push, then build what it brought; git's report comes last, so that the pusher's git waits for it."""
        push = _read_push(body)
        repository = await self._repository(name)
        said = bytearray()
        async for chunk in _output(await _git("receive-pack", "--stateless-rpc", str(repository), given=body)):
            said += chunk
            if len(said) > COMMANDS:
                raise _Refused(500, "git said more than it should")
        await _begin(send, b"application/x-git-receive-pack-result")
        new = next((new for _, new, ref in push.commands if ref in DEPLOYED and new != ZERO), None)
        if not push.side_band or new is None:
            await _more(send, bytes(said))
            await _end(send)
            return
        # A flush ends the side band: what is said about the build goes before it.
        ends = bytes(said).endswith(b"0000")
        await _more(send, bytes(said[:-4]) if ends else bytes(said))
        async for line in self._built(name, repository, new.decode()):
            await _more(send, _packet(b"\x02" + line) if line else _packet(b"\x02"))
        await _more(send, b"0000" if ends else b"")
        await _end(send)

    async def _built(self, name: str, repository: Path, commit: str) -> AsyncGenerator[bytes]:
        """The lines of a deployment, with an empty one now and then so that nothing on the way gives up."""
        if (await _status("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", at=repository)) != 0:
            return  # git did not take it and has said so
        checkout = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._made(self._folder / "checkouts")))
        if await _status("--work-tree", str(checkout), "checkout", "--force", commit, "--", ".", at=repository) != 0:
            shutil.rmtree(checkout, ignore_errors=True)
            yield b"error: the commit could not be checked out\n"
            return
        (repository / "index").unlink(missing_ok=True)
        lines = self._deploy(name, checkout)
        waiting: asyncio.Future[str] | None = None
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(_next(lines))
                done, _ = await asyncio.wait({waiting}, timeout=BEAT)
                if not done:
                    yield b""
                    continue
                line, waiting = waiting.result(), None
                yield line.encode()[:LONGEST_LINE].replace(b"\n", b" ") + b"\n"
        except _Over:
            return
        except Exception as error:
            yield f"error: {error}".encode()[:LONGEST_LINE] + b"\n"
        finally:
            if waiting is not None:
                waiting.cancel()

    async def _repository(self, name: str) -> Path:
        """The project's bare repository, made if there is none. Hooks of a template would run: there is none."""
        repository = self._folder / f"{name}.git"
        if not (repository / "HEAD").exists():
            self._made(repository)
            if await _status("init", "--quiet", "--bare", "--template=", "--initial-branch=main", at=repository) != 0:
                raise _Refused(500, "git is not installed where the stand runs, or could not make a repository")
        return repository

    @staticmethod
    def _made(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder


async def _next(lines: AsyncIterator[str]) -> str:
    try:
        return await anext(lines)
    except StopAsyncIteration:
        raise _Over from None


class _Over(Exception):
    """There are no more lines."""


def _packet(content: bytes) -> bytes:
    return b"%04x" % (len(content) + 4) + content


def _read_push(body: Any) -> _Push:
    """The commands before the pack. Raises _Refused."""
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
            raise _Refused(400, "the body is no push of git's")
        line, _, more = body.read(length - 4).rstrip(b"\n").partition(b"\0")
        can = can or more
        if line.startswith((b"shallow ", b"push-cert")):
            continue
        parts = line.split(b" ", 2)
        if len(parts) != 3 or len(parts[0]) != 40 or len(parts[1]) != 40:
            raise _Refused(400, "the body is no push of git's")
        found.append((parts[0], parts[1], parts[2]))
    return _Push(tuple(found), b"side-band-64k" in can.split())


async def _keep(body: Any, receive: Receive, headers: dict[bytes, bytes], largest: int) -> None:
    """The request's body as a file, inflated, counted as it comes. Raises _Refused."""
    packed = headers.get(b"content-encoding", b"").lower()
    if packed not in (b"", b"identity", b"gzip", b"x-gzip"):
        raise _Refused(415, "the body may be packed with gzip only")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if packed.endswith(b"gzip") else None
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Refused(400, "the body is not whole")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        while chunk:
            try:
                piece = inflate.decompress(chunk, CHUNK) if inflate else chunk
            except zlib.error:
                raise _Refused(400, "the body is not gzip") from None
            chunk = inflate.unconsumed_tail if inflate else b""
            size += len(piece)
            if size > largest:
                raise _Refused(413, f"the push is larger than {largest} bytes")
            body.write(piece)
    body.flush()
    body.seek(0)


async def _git(
    *arguments: str, at: Path | None = None, given: Any = None, protocol: bytes = b""
) -> asyncio.subprocess.Process:
    """git, in a session of its own, without this machine's settings and without the caller's."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
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


async def _status(*arguments: str, at: Path) -> int:
    try:
        process = await _git(*arguments, at=at)
    except FileNotFoundError:
        return 127
    await process.communicate()
    return process.returncode or 0


async def _output(process: asyncio.subprocess.Process) -> AsyncGenerator[bytes]:
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


async def _begin(send: Send, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _more(send: Send, content: bytes) -> None:
    if content:
        await send({"type": "http.response.body", "body": content, "more_body": True})


async def _end(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _answer(
    send: Send, status: int, kind: bytes, body: bytes, more: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [(b"content-type", kind), (b"cache-control", b"no-cache"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *(more or [])]})
    await send({"type": "http.response.body", "body": body})
