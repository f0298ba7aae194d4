"""Git over HTTP: `git push` deploys. An ASGI app around `git receive-pack --stateless-rpc`; knows no build.

A push is taken into a bare repository, the pushed commit is checked out, and `deploy` is called; what it says comes
back to the pusher as lines that begin with "remote:". Only pushing is served, and fetching what was pushed.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from bananastand.asgi.credentials import basic_credentials
from bananastand.asgi.responses import refuse_websocket

from ..building.sources.last_commit import date_files
from .git_wire import (
    GitRefused,
    Receive,
    Send,
    answer,
    begin,
    end,
    git,
    keep,
    more,
    output_of,
    packet,
    read_push,
    status_of,
    text_of,
)

__all__ = ["Git"]

PATH = re.compile(
    r"/git/(?P<name>[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?)\.git/(?P<rest>info/refs|git-receive-pack|git-upload-pack)"
)
SERVICES = ("git-receive-pack", "git-upload-pack")
DEPLOYED = (b"refs/heads/main", b"refs/heads/master")
ZERO = b"0" * 40
LONGEST_LINE = 900  # bytes of a line to the pusher; a packet of the side band takes 999 of old clients
BEAT = 5.0  # seconds between empty packets, while a build says nothing
REPORT = 2**20  # bytes of what git says of a push


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
        if scope["type"] == "websocket":
            await refuse_websocket(scope, receive, send, "git speaks HTTP here: git push", status=400)
            return
        try:
            found = PATH.fullmatch(scope["path"])
            if found is None:
                raise GitRefused(404, "there is no such repository; its address is /git/PROJECT.git")
            headers = {name.lower(): value for name, value in scope["headers"]}
            if not self._may(headers.get(b"authorization", b"")):
                raise GitRefused(401, "a key of the stand is the password, with any name")
            await self._serve(scope, headers, found["name"], found["rest"], receive, send)
        except GitRefused as refused:
            more = [(b"www-authenticate", b'Basic realm="bananastand"')] if refused.status == 401 else []
            more += [(b"allow", refused.allow.encode())] if refused.allow else []
            await answer(send, refused.status, b"text/plain; charset=utf-8", f"{refused}\n".encode(), more)

    def _may(self, header: bytes) -> bool:
        credentials = basic_credentials(header.decode("latin-1"))
        if credentials is None:
            return False
        user, password = credentials
        return self._opens(password) or (not password and self._opens(user))

    async def _serve(
        self, scope: dict[str, Any], headers: dict[bytes, bytes], name: str, rest: str, receive: Receive, send: Send
    ) -> None:
        if rest == "info/refs":
            if scope["method"] != "GET":
                raise GitRefused(405, "only GET here", allow="GET")
            service = parse_qs(scope["query_string"].decode("latin-1")).get("service", [""])[0]
            if service not in SERVICES:
                raise GitRefused(403, "this server speaks git's smart protocol only")
            await self._refs(name, service, headers, send)
            return
        if scope["method"] != "POST":
            raise GitRefused(405, "only POST here", allow="POST")
        if headers.get(b"content-type", b"").decode("latin-1") != f"application/x-{rest}-request":
            raise GitRefused(415, f"the body must be application/x-{rest}-request")
        with tempfile.TemporaryFile(dir=self._made(self._folder)) as body:
            await keep(body, receive, headers, self._largest)
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
            raise GitRefused(404, f"nothing was pushed to {name} yet")
        command = [service.removeprefix("git-"), "--stateless-rpc", "--advertise-refs", str(repository)]
        process = await git(*command, protocol=headers.get(b"git-protocol", b""))
        said, _ = await process.communicate()
        if process.returncode:
            raise GitRefused(500, "git failed; the stand's log says why")
        line = f"# service={service}\n".encode()
        await answer(send, 200, f"application/x-{service}-advertisement".encode(), packet(line) + b"0000" + said)

    async def _upload(self, name: str, body: Any, headers: dict[bytes, bytes], send: Send) -> None:
        repository = self._folder / f"{name}.git"
        if not repository.is_dir():
            raise GitRefused(404, f"nothing was pushed to {name} yet")
        command = ["upload-pack", "--stateless-rpc", str(repository)]
        await begin(send, b"application/x-git-upload-pack-result")
        async for chunk in output_of(await git(*command, given=body, protocol=headers.get(b"git-protocol", b""))):
            await more(send, chunk)
        await end(send)

    async def _push(self, name: str, body: Any, headers: dict[bytes, bytes], send: Send) -> None:
        """Take the push, then build what it brought; git's report comes last, so that the pusher's git waits for it."""
        push = read_push(body)
        repository = await self._repository(name)
        said = bytearray()
        async for chunk in output_of(await git("receive-pack", "--stateless-rpc", str(repository), given=body)):
            said += chunk
            if len(said) > REPORT:
                raise GitRefused(500, "git said more than it should")
        await begin(send, b"application/x-git-receive-pack-result")
        new = next((new for _, new, ref in push.commands if ref in DEPLOYED and new != ZERO), None)
        if not push.side_band or new is None:
            await more(send, bytes(said))
            await end(send)
            return
        # A flush ends the side band: what is said about the build goes before it.
        ends = bytes(said).endswith(b"0000")
        await more(send, bytes(said[:-4]) if ends else bytes(said))
        async for line in self._built(name, repository, new.decode()):
            await more(send, packet(b"\x02" + line) if line else packet(b"\x02"))
        await more(send, b"0000" if ends else b"")
        await end(send)

    async def _built(self, name: str, repository: Path, commit: str) -> AsyncGenerator[bytes]:
        """The lines of a deployment, with an empty one now and then so that nothing on the way gives up."""
        if (await status_of("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", at=repository)) != 0:
            return  # git did not take it and has said so
        checkout = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._made(self._folder / "checkouts")))
        if await status_of("--work-tree", str(checkout), "checkout", "--force", commit, "--", ".", at=repository) != 0:
            shutil.rmtree(checkout, ignore_errors=True)
            yield b"error: the commit could not be checked out\n"
            return
        (repository / "index").unlink(missing_ok=True)
        # By its files' times the build tells of which time the repository is.
        when = await text_of("log", "-1", "--format=%ct", commit, at=repository)
        await asyncio.to_thread(date_files, checkout, float(when or 0))
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
            if await status_of("init", "--quiet", "--bare", "--template=", "--initial-branch=main", at=repository) != 0:
                raise GitRefused(500, "git is not installed where the stand runs, or could not make a repository")
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
