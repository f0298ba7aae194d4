"""Git over HTTP: `git push` deploys. An ASGI application around `git receive-pack --stateless-rpc`.

A push is received into a bare repository, the pushed commit is checked out, and `deploy` is called; its lines reach the
pusher as lines that begin with "remote:". Only pushing is served, and fetching what was pushed.
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
from bananastand.asgi.responses import refuse_websocket, send_response

from ..building.sources.last_commit import date_files
from ..store.private_files import make_folder
from .git_wire import (
    GitRefused,
    Receive,
    Send,
    begin_response,
    end_response,
    exit_status,
    output_of,
    packet,
    printed_text,
    read_push,
    receive_body,
    run_git,
    send_chunk,
)

__all__ = ["Git"]

PATH = re.compile(
    r"/git/(?P<name>[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?)\.git/(?P<rest>info/refs|git-receive-pack|git-upload-pack)"
)
SERVICES = ("git-receive-pack", "git-upload-pack")
DEPLOYED = (b"refs/heads/main", b"refs/heads/master")
ZERO = b"0" * 40
TEXT, NO_CACHE = b"text/plain; charset=utf-8", (b"cache-control", b"no-cache")
MAX_LINE = 900  # bytes of a line to the pusher; old clients read 999 of a side-band packet
KEEP_ALIVE = 5.0  # seconds between empty packets while a build prints nothing
MAX_REPORT = 2**20  # bytes of git's report of a push


class Git:
    """The ASGI application, to be mounted at /git. Errors are answered to the client.

    Args:
        folder: The folder of the repositories.
        is_key: Whether a text is a valid API key.
        deploy: Called with the project's name and a folder with the pushed commit, which it owns; its lines go to the
            pusher.
        max_bytes: The largest push.
    """

    def __init__(
        self,
        folder: Path,
        is_key: Callable[[str], bool],
        deploy: Callable[[str, Path], AsyncIterator[str]],
        *,
        max_bytes: int = 2 * 2**30,
    ) -> None:
        self._folder, self._is_key, self._deploy, self._max_bytes = folder, is_key, deploy, max_bytes
        self._locks = dict[str, asyncio.Lock]()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request of git."""
        if scope["type"] == "websocket":
            await refuse_websocket(scope, receive, send, "git speaks HTTP here: git push", status=400)
            return
        try:
            match = PATH.fullmatch(scope["path"])
            if match is None:
                raise GitRefused(404, "there is no such repository; its address is /git/PROJECT.git")
            headers = {name.lower(): value for name, value in scope["headers"]}
            if not self._is_authorized(headers.get(b"authorization", b"")):
                raise GitRefused(401, "an API key of the platform is the password, with any name")
            await self._serve(scope, headers, match["name"], match["rest"], receive, send)
        except GitRefused as refused:
            headers = [(b"www-authenticate", b'Basic realm="bananastand"')] if refused.status == 401 else []
            headers += [(b"allow", refused.allow.encode())] if refused.allow else []
            await send_response(send, refused.status, f"{refused}\n".encode(), TEXT, [NO_CACHE, *headers])

    def _is_authorized(self, header: bytes) -> bool:
        credentials = basic_credentials(header.decode("latin-1"))
        if credentials is None:
            return False
        user, password = credentials
        return self._is_key(password) or (not password and self._is_key(user))

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
        with tempfile.TemporaryFile(dir=make_folder(self._folder)) as body:
            await receive_body(body, receive, headers, self._max_bytes)
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
        process = await run_git(*command, protocol=headers.get(b"git-protocol", b""))
        refs, _ = await process.communicate()
        if process.returncode:
            raise GitRefused(500, "git failed; the platform's log says why")
        line = f"# service={service}\n".encode()
        content_type = f"application/x-{service}-advertisement".encode()
        await send_response(send, 200, packet(line) + b"0000" + refs, content_type, [NO_CACHE])

    async def _upload(self, name: str, body: Any, headers: dict[bytes, bytes], send: Send) -> None:
        repository = self._folder / f"{name}.git"
        if not repository.is_dir():
            raise GitRefused(404, f"nothing was pushed to {name} yet")
        command = ["upload-pack", "--stateless-rpc", str(repository)]
        await begin_response(send, b"application/x-git-upload-pack-result")
        async for chunk in output_of(await run_git(*command, stdin=body, protocol=headers.get(b"git-protocol", b""))):
            await send_chunk(send, chunk)
        await end_response(send)

    async def _push(self, name: str, body: Any, headers: dict[bytes, bytes], send: Send) -> None:
        """Receive a push, then build its commit; git's report is sent last, so that the pusher's git waits for it."""
        push = read_push(body)
        repository = await self._repository(name)
        report = bytearray()
        async for chunk in output_of(await run_git("receive-pack", "--stateless-rpc", str(repository), stdin=body)):
            report += chunk
            if len(report) > MAX_REPORT:
                raise GitRefused(500, "git's report of the push is too long")
        await begin_response(send, b"application/x-git-receive-pack-result")
        new = next((new for _, new, ref in push.commands if ref in DEPLOYED and new != ZERO), None)
        if not push.side_band or new is None:
            await send_chunk(send, bytes(report))
            await end_response(send)
            return
        # A flush packet ends the side band: the lines of the build go before it.
        ends = bytes(report).endswith(b"0000")
        await send_chunk(send, bytes(report[:-4]) if ends else bytes(report))
        async for line in self._build(name, repository, new.decode()):
            await send_chunk(send, packet(b"\x02" + line) if line else packet(b"\x02"))
        await send_chunk(send, b"0000" if ends else b"")
        await end_response(send)

    async def _build(self, name: str, repository: Path, commit: str) -> AsyncGenerator[bytes]:
        """Yield the lines of a deployment, with an empty one now and then so that no proxy times out."""
        if (await exit_status("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", at=repository)) != 0:
            return  # git refused the commit, and its report says why
        checkout = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=make_folder(self._folder / "checkouts")))
        if (
            await exit_status("--work-tree", str(checkout), "checkout", "--force", commit, "--", ".", at=repository)
            != 0
        ):
            shutil.rmtree(checkout, ignore_errors=True)
            yield b"error: the commit could not be checked out\n"
            return
        (repository / "index").unlink(missing_ok=True)
        # The build resolves open requirements as of the time of the files.
        when = await printed_text("log", "-1", "--format=%ct", commit, at=repository)
        await asyncio.to_thread(date_files, checkout, float(when or 0))
        lines = self._deploy(name, checkout)
        waiting: asyncio.Future[str] | None = None
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(_next(lines))
                done, _ = await asyncio.wait({waiting}, timeout=KEEP_ALIVE)
                if not done:
                    yield b""
                    continue
                line, waiting = waiting.result(), None
                yield line.encode()[:MAX_LINE].replace(b"\n", b" ") + b"\n"
        except _NoMoreLines:
            return
        except Exception as error:
            yield f"error: {error}".encode()[:MAX_LINE] + b"\n"
        finally:
            if waiting is not None:
                waiting.cancel()

    async def _repository(self, name: str) -> Path:
        """Return the project's bare repository, which is created if it does not exist, without a template's hooks."""
        repository = self._folder / f"{name}.git"
        if not (repository / "HEAD").exists():
            make_folder(repository)
            if (
                await exit_status("init", "--quiet", "--bare", "--template=", "--initial-branch=main", at=repository)
                != 0
            ):
                raise GitRefused(500, "git is not installed where the platform runs, or could not make a repository")
        return repository


async def _next(lines: AsyncIterator[str]) -> str:
    try:
        return await anext(lines)
    except StopAsyncIteration:
        raise _NoMoreLines from None


class _NoMoreLines(Exception):
    """There are no more lines."""
