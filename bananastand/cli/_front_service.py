"""`bananastand up --database`: one of several fronts of a platform."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform as machine
import socket
import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from bananastand import __version__
from bananastand.asgi.listening import listen
from bananastand.platform.building.deployer import Builder
from bananastand.platform.errors import Conflict
from bananastand.platform.fronts.door import Door
from bananastand.platform.fronts.front import Front
from bananastand.platform.fronts.membership import Membership
from bananastand.platform.fronts.register import Registration
from bananastand.platform.fronts.server import FrontServer, Ports
from bananastand.platform.platform import MakeNodes, Platform
from bananastand.platform.replicas.start_command import PLATFORM_VARIABLE
from bananastand.platform.settings import Settings
from bananastand.platform.store.database import STEPS
from bananastand.platform.store.directory import lock_directory
from bananastand.platform.store.postgresql.store import PostgresStore
from bananastand.platform.store.private_files import make_folder

from ._platform_application import OPEN, is_private, platform_application, platform_dialect
from ._platform_options import LOOPBACK, Options
from ._platform_service import Service
from ._platform_welcome import print_welcome

__all__ = ["open_front"]

WILDCARD = "0.0.0.0"
KNOWN_SECONDS = 5.0  # in which it becomes known who is active


async def open_front(
    options: Options,
    settings: Settings,
    builder: Builder,
    make_nodes: MakeNodes,
    fronts: dict[int, str],
    url: str,
    secure: list[int],
    console: Console,
) -> Service:
    """Join the other fronts of a database.

    Args:
        options: The command line's.
        settings: With a database.
        builder: Builds what is deployed.
        make_nodes: Makes the nodes of the platform's replicas.
        fronts: Projects by the port that is theirs alone.
        url: The address of the main port.
        secure: Ports behind the forward proxy's TLS.
        console: For messages.

    Raises:
        StoreError: The database cannot be reached.
        Conflict: The other fronts run another version, or the data directory or the port is in use.
    """
    database = settings.database or ""
    make_folder(settings.data).chmod(0o700)
    lock = lock_directory(settings.data, "front.lock")
    listener = _door(options.advertise)
    address = options.advertise or f"https://{LOOPBACK}:{listener.getsockname()[1]}"
    own = Registration.new(f"{machine.node()}:{urlsplit(url).port}", address, __version__, len(STEPS))
    membership = Membership(database, own)

    async def start(store: PostgresStore) -> ActiveFront:
        earlier = front.predecessor
        about = f"{earlier.name} ({earlier.url})" if earlier is not None else None
        platform = Platform(
            replace(settings, predecessor=about, took_over=time.time()), builder, make_nodes, store=store
        )
        try:
            os.environ[PLATFORM_VARIABLE] = platform.identity.id
            platform.fronts = membership.fronts
            for line in await platform.start():
                console.print(line, markup=False)
            app, _ = platform_application(platform, options, fronts, url, secure)
            platform.metrics.registry.register(server.status)
            print_welcome(console, platform, url, fronts, options.mocks)
            console.print(f"  {own.name} is the active front, reached by the others at {address}", markup=False)
            if settings.blobs is None:
                console.print("  without --blobs, large bodies and builds are on this machine alone", markup=False)
        except BaseException:
            await platform.close(0.0)
            raise
        return ActiveFront(platform, app)

    try:
        authority = await membership.open()
    except BaseException:
        listener.close()
        os.close(lock)
        raise
    called, calling = authority.contexts()
    front = Front(membership, lambda: PostgresStore(database), start)
    dialect = platform_dialect(fronts)
    ports = Ports(fronts, frozenset(secure), is_private(options), tuple(options.hosts), OPEN if options.mocks else ())
    folder = make_folder(settings.data / "forwarded")
    server = FrontServer(front, ports, dialect, calling, folder, settings.max_body)
    door = Door(front, called, settings.max_message)
    door.open(listener)
    front.begin()

    def release_waiters() -> None:
        server.stop()
        front.release_waiters()

    async def close() -> None:
        release_waiters()
        await front.close()
        await door.close()
        await server.close()
        os.close(lock)

    try:
        await _until_known(front)
    except BaseException:
        await close()
        raise
    if front.role == "standby":
        leader = front.leader
        of = f"{leader.name} ({leader.url})" if leader is not None else "nobody yet"
        console.print(f"Bananastand at {url}/ stands by for {of}", markup=False)
    return Service(server, dialect, release_waiters, close, front.failed)


class ActiveFront:
    """The platform of a front that is active.

    Args:
        platform: The platform.
        app: Its application.
    """

    def __init__(self, platform: Platform, app: Any) -> None:
        self._platform, self.app = platform, app

    def release_waiters(self) -> None:
        """End the wait of all callers."""
        self._platform.release_waiters()

    async def finish(self) -> None:
        """End all work, with a row for every call that goes on."""
        await self._platform.finish()

    async def close(self, grace: float | None) -> None:
        """Stop everything."""
        await self._platform.close(grace)


def _door(advertise: str | None) -> socket.socket:
    """Return a socket for the other fronts: on this machine alone where no URL is advertised. Raises Conflict."""
    if advertise is None:
        return listen(LOOPBACK, 0)
    parts = urlsplit(advertise)
    host, port = parts.hostname or "", parts.port or 0
    with contextlib.suppress(OSError):
        return listen(host, port)
    try:
        return listen(WILDCARD, port)  # another machine translates the address
    except OSError as error:
        reason = f"cannot listen on {error.filename}: {error.strerror}"
        raise Conflict(f"{reason}; advertise another port: --advertise https://{host}:{port + 1}") from error


async def _until_known(front: Front) -> None:
    """Wait until this front is active, or another one is. Raises what keeps this front from being either."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + KNOWN_SECONDS
    while front.app is None and front.leader is None and (front.role == "starting" or loop.time() < deadline):
        revision = front.membership.revision
        changed = asyncio.ensure_future(front.membership.changed(revision))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait({changed, front.failed}, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        if front.failed.done():
            front.failed.result()
