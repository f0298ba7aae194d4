"""`bananastand up`: the local platform."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from ._ends import USAGE, fail

__all__ = ["up"]

HOST = "127.0.0.1"
CHOICES = ("auto", "sandbox", "none")


def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on.")] = 8750,
    host: Annotated[
        str, typer.Option(help="The address to listen on. Whoever has a key can run code on this machine.")
    ] = HOST,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another host name that it is called by; may be repeated.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The folder for its database, builds, logs and keys.", envvar="BANANASTAND_DATA")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="A PostgreSQL database, postgresql://USER@HOST/NAME, that several of these share; one is active.",
            envvar="BANANASTAND_DATABASE",
        ),
    ] = None,
    advertise: Annotated[
        str | None,
        typer.Option(help="https://HOST:PORT at which the others of the database reach this one; its port is opened."),
    ] = None,
    blobs: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="BANANASTAND_BLOBS",
            help="Where large bodies, uploads and builds lie for several machines: s3://bucket/folder or file:///srv/x.",
        ),
    ] = None,
    front: Annotated[
        list[str] | None,
        typer.Option(help="PORT=PROJECT: serve that project there without a key, to this machine alone."),
    ] = None,
    proxy: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of a forward proxy for Banana's own host names.")
    ] = None,
    mocks: Annotated[bool, typer.Option(help="Also serve the other mocks, with their public keys.")] = False,
    root: Annotated[
        list[Path] | None, typer.Option(help="A folder that local sources may lie in; default: your home.")
    ] = None,
    memory: Annotated[int | None, typer.Option(min=64, help="The most memory of a replica, in MiB.")] = None,
    max_connections: Annotated[
        int | None, typer.Option(min=16, help="Connections at once; default: half of the open files, at most 10000.")
    ] = None,
    queue: Annotated[int, typer.Option(min=1, help="Calls of a project that may wait; more get 429.")] = 10_000,
    queue_size: Annotated[
        int, typer.Option(min=1, help="Most MiB of the bodies of a project's calls that are not over.")
    ] = 4096,
    processes: Annotated[
        int, typer.Option(min=16, help="The most processes and threads of a replica, where they can be counted.")
    ] = 4096,
    disk: Annotated[
        int | None, typer.Option(min=1, help="GiB that its data may take: beyond, caches and old versions go.")
    ] = None,
    isolation: Annotated[
        str, typer.Option(help="Of builds and apps that are processes: auto, sandbox (or no start) or none.")
    ] = "auto",
    network: Annotated[
        str, typer.Option(help="Of apps that are processes: machine, or none (Potassium apps in the worker alone).")
    ] = "machine",
    build_timeout: Annotated[float, typer.Option(min=1, help="Seconds that a build may take.")] = 1800.0,
    start_timeout: Annotated[float, typer.Option(min=1, help="Seconds that a replica may take to get ready.")] = 600.0,
    pass_: Annotated[
        list[str] | None,
        typer.Option(
            "--pass", help="The name of a variable for all builds and replicas, such as HF_TOKEN; repeatable."
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Run replicas on the nodes of a cluster: auto, or HOST:PORT of its head (bananastand cluster)."
        ),
    ] = None,
    github_secret: Annotated[
        str | None,
        typer.Option(
            envvar="BANANASTAND_GITHUB_SECRET", help="The secret of GitHub's push webhook, which deploys with it."
        ),
    ] = None,
) -> None:
    """Run the local platform: it builds projects, starts them when they are called, and stops them when they are idle.

    Without --host it listens on this machine alone. The first start prints an API key and writes it to a file that the
    other commands read. Ctrl-C stops it; waiting calls and builds go on at the next start.

    Example: [bold]bananastand up --port 8750 --memory 4096[/bold]
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())  # until the platform handles it itself
    try:
        from ._platform_server import Options, run
    except ImportError as error:
        fail(f"the package {error.name} is not installed: pip install 'bananastand[stand]'")
    try:
        options = Options(
            port=port,
            host=host,
            hosts=tuple(allow_host or ()),
            data=data,
            blobs=blobs,
            fronts=tuple(_front(text) for text in front or ()),
            proxy=proxy,
            mocks=mocks,
            roots=tuple(root or ()),
            memory_mb=memory,
            max_connections=max_connections,
            queue=queue,
            queue_mb=queue_size,
            processes=processes,
            disk_gb=disk,
            isolation=_one_of("--isolation", isolation, CHOICES),
            network=_one_of("--network", network, ("machine", "none")),
            build_timeout=build_timeout,
            start_timeout=start_timeout,
            github_secret=github_secret,
            passed=tuple(_name(text) for text in pass_ or ()),
            database=database,
            advertise=_url(advertise, database),
            cluster=cluster,
        )
    except ValueError as error:
        fail(str(error), USAGE)
    raise typer.Exit(run(options))


def _one_of(option: str, value: str, values: tuple[str, ...]) -> str:
    if value not in values:
        raise ValueError(f"{option} takes {', '.join(values)}, not {value}")
    return value


def _name(text: str) -> str:
    if "=" in text or not text:
        raise ValueError("--pass takes the name of an environment variable, without its value")
    return text


def _url(text: str | None, database: str | None) -> str | None:
    if text is None:
        return None
    if database is None:
        raise ValueError("--advertise goes with --database: one platform on SQLite has no others")
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or not parts.port or parts.path not in ("", "/"):
        raise ValueError(f"--advertise takes https://HOST:PORT, such as https://10.0.0.5:8753, not {text}")
    return f"https://{parts.netloc}"


def _front(text: str) -> tuple[int, str]:
    port, _, project = text.partition("=")
    if not port.isdigit() or not 0 <= int(port) <= 65535 or not project:
        raise ValueError(f"--front takes PORT=PROJECT, such as 8000=my-app, not {text}")
    return int(port), project
