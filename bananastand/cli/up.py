"""`bananastand up`: the local Banana."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._ends import USAGE, fail

__all__ = ["up"]

HOST = "127.0.0.1"


def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens.")] = 8750,
    host: Annotated[str, typer.Option(help="On which address. Whoever has a key can run code here.")] = HOST,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="It also answers to this name; may be given again.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Where it keeps everything.", envvar="BANANASTAND_DATA")] = None,
    front: Annotated[
        list[str] | None, typer.Option(help="PORT=PROJECT: that project without a key, for this machine alone.")
    ] = None,
    mocks: Annotated[bool, typer.Option(help="Also serve the other mocks, with their well-known keys.")] = False,
    root: Annotated[
        list[Path] | None, typer.Option(help="Local sources may come from this folder; default: your home.")
    ] = None,
    memory: Annotated[int | None, typer.Option(min=64, help="Most memory of a replica, in MiB.")] = None,
    build_timeout: Annotated[float, typer.Option(min=1, help="Seconds for a build.")] = 1800.0,
    start_timeout: Annotated[float, typer.Option(min=1, help="Seconds for a replica to get ready.")] = 600.0,
    pass_: Annotated[
        list[str] | None,
        typer.Option(
            "--pass", help="The name of a variable for all builds and replicas, such as HF_TOKEN; repeatable."
        ),
    ] = None,
    github_secret: Annotated[
        str | None,
        typer.Option(envvar="BANANASTAND_GITHUB_SECRET", help="Of GitHub's push webhook, which may deploy with it."),
    ] = None,
) -> None:
    """Run the local Banana: projects are built, started when they are called, and stopped when they are idle.

    It listens on this machine alone unless told. The first time it prints a key, and writes it where the other
    commands find it. Ctrl-C stops it; what waited is taken up at the next start.
    """
    try:
        from ._stand import Options, run
    except ImportError as error:
        fail(f"{error.name} is not here: pip install 'bananastand[stand]'")
    try:
        options = Options(
            port=port,
            host=host,
            hosts=tuple(allow_host or ()),
            data=data,
            fronts=tuple(_front(each) for each in front or ()),
            mocks=mocks,
            roots=tuple(root or ()),
            memory_mb=memory,
            build_timeout=build_timeout,
            start_timeout=start_timeout,
            github_secret=github_secret,
            passed=tuple(_name(each) for each in pass_ or ()),
        )
    except ValueError as error:
        fail(str(error), USAGE)
    raise typer.Exit(run(options))


def _name(text: str) -> str:
    if "=" in text or not text:
        raise ValueError("--pass takes the name of an environment variable, without its value")
    return text


def _front(text: str) -> tuple[int, str]:
    port, _, project = text.partition("=")
    if not port.isdigit() or not 0 <= int(port) <= 65535 or not project:
        raise ValueError(f"--front wants PORT=PROJECT, such as 8000=my-app, not {text}")
    return int(port), project
