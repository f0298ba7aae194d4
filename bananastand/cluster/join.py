"""A machine of the cluster: it joins, runs Ray's part of a node, and joins again after a loss."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from .credentials import CredentialsError, Identity, cluster_folder
from .enrolment import Unreachable, enrol
from .prerequisites import check_ray
from .ray_process import NodeOptions, RayProcess, own_address

__all__ = ["join", "join_as_front", "machine_name"]

BACKOFF, BACKOFF_MOST = 1.0, 30.0


def machine_name() -> str:
    """Return this machine's name as a member may be called."""
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().split(".")[0].lower()).strip("-")[:42]
    return name.strip("-") or "node"


async def join(
    folder: Path,
    host: str,
    port: int,
    options: NodeOptions,
    say: Callable[[str], None],
    *,
    name: str | None = None,
    token: str | None = None,
) -> None:
    """Run this machine as a node until cancelled.

    Args:
        folder: The node's own folder, for its credentials and Ray's logs.
        host: The first machine.
        port: Its enrolment port.
        options: What this machine gives; an empty address stands for the one from which it reaches the first machine.
        say: Prints a line for whoever runs this.
        name: The node's name; None for the one it had, else the machine's.
        token: A join token, for the first time.

    Raises:
        CredentialsError: The first machine refuses, or Ray is missing or too old.
        OSError: The folder cannot be written.
    """
    check_ray()
    own: Identity | None = None
    with suppress(CredentialsError):
        own = Identity.load(folder)
    name = name or (own.name if own is not None else machine_name())
    has_key = own is not None and own.name == name

    def enrolled() -> tuple[Identity, NodeOptions]:
        try:
            address = options.address or own_address(host)
        except OSError as error:
            raise Unreachable(f"there is no way to {host}: {error}") from None
        own_options = replace(options, address=address)
        if has_key:
            try:
                return enrol(folder, host, port, name=name, address=address, say=say), own_options
            except Unreachable:
                raise
            except CredentialsError:  # it was forgotten, or the cluster was replaced: a new token lets it in again
                if token is None:
                    raise
        return enrol(folder, host, port, name=name, token=token, address=address, say=say), own_options

    identity, own_options = await _reached(enrolled, say)
    has_key, token = True, None  # from here on it has a key of its own
    await RayProcess(identity, own_options, say).run(lambda: _reached(enrolled, say))


async def join_as_front(
    data: Path, host: str, port: int, say: Callable[[str], None], *, name: str | None = None, token: str | None = None
) -> None:
    """Fetch the credentials of a second front into a data directory. Raises CredentialsError, OSError."""
    check_ray()
    folder, name = cluster_folder(data) / "front", name or f"{machine_name()}-front"
    enrol(folder, host, port, name=name, role="front", token=token, say=say)
    say(f"front {name} joined; run a node here too, then: bananastand up --cluster auto --database URL --blobs URL")


async def _reached(
    enrolled: Callable[[], tuple[Identity, NodeOptions]], say: Callable[[str], None]
) -> tuple[Identity, NodeOptions]:
    """Return the credentials once the first machine answers."""
    pause = BACKOFF
    while True:
        try:
            return await asyncio.to_thread(enrolled)
        except Unreachable as error:
            say(f"{error}; tries again in {pause:.0f} s")
        await asyncio.sleep(pause)
        pause = min(pause * 2, BACKOFF_MOST)
