"""`bananastand mocks` serves all mocks on one port; `bananastand coverage` shows which operations were called."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ._ends import USAGE, fail

if TYPE_CHECKING:
    from bananastand_mocks.server import Server

__all__ = ["coverage", "mocks"]

HOST = "127.0.0.1"


def mocks(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where they listen.")] = 8750,
    host: Annotated[str, typer.Option(help="On which address; their keys are known to everybody.")] = HOST,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="The control plane also answers to this name; may be given again.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Serve this provider only; may be given again.")] = None,
    state: Annotated[Path | None, typer.Option(help="Keep the worlds in this file over restarts.")] = None,
    seed: Annotated[int | None, typer.Option(help="Ids and chance from this number; drawn if left out.")] = None,
    world: Annotated[
        Literal["development", "documents", "empty"], typer.Option(help="What the world of the fixed keys holds.")
    ] = "development",
    time: Annotated[
        Literal["real", "virtual"], typer.Option(help="A virtual clock moves only when it is advanced.")
    ] = "real",
    speed: Annotated[
        float, typer.Option(min=0.001, max=1e6, help="How many times faster than real time the real clock runs.")
    ] = 1.0,
    step: Annotated[float, typer.Option(min=0, max=1e9, help="Every call moves the clock by so many seconds.")] = 0.0,
    allow_webhook: Annotated[
        list[str] | None,
        typer.Option(help="Also post webhooks to this host, address or network; may be given again."),
    ] = None,
    banana_url: Annotated[
        str | None, typer.Option(help="Forward runs to the Potassium app that listens there, instead of drawing.")
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Have the Potassium app that listens there paint Go Bananas!' images.")
    ] = None,
    vlm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[PROVIDER=]URL",
            help="Ask a language model there what PaperBanana's figures show: the base URL of a server of OpenAI's API,"
            " its key in BANANASTAND_VLM_KEY; may be given again, for a provider each.",
        ),
    ] = None,
    vlm_model: Annotated[
        str | None, typer.Option(envvar="BANANASTAND_VLM_MODEL", help="The model where a request names none.")
    ] = None,
) -> None:
    """Serve the mocks of all providers with fixed keys, by default on this machine alone, until Ctrl-C.

    The index page lists addresses, keys and contracts.
    """
    try:
        import uvicorn

        from bananastand.asgi.connection_limiter import ConnectionLimiter
        from bananastand.asgi.limits import ConnectionLimits
        from bananastand.asgi.protocol import ServerConfig
        from bananastand_mocks.kernel.errors import StateError
        from bananastand_mocks.paperbanana.vlm import configured
        from bananastand_mocks.providers import NAMES
        from bananastand_mocks.server import RESERVED, Server, dialect_of
    except ImportError as error:
        fail(f"{error.name} is not here: pip install 'bananastand[mocks]'")
    runtime = None
    if banana_url is not None:
        from bananastand_mocks.bananadev.http_runtime import HttpRuntime

        runtime = partial(HttpRuntime, url=banana_url)
    try:
        server = Server(
            only or NAMES,
            kind=world,
            seed=seed,
            virtual=time == "virtual",
            speed=speed,
            step=step,
            state=state,
            hosts=allow_host or (),
            runtime=runtime,
            webhooks=allow_webhook or (),
            images=images,
            vlm=configured(vlm or (), os.environ, model=vlm_model),
        )
    except (ValueError, StateError) as error:
        fail(str(error), USAGE)
    _welcome(server, port)
    limiter = ConnectionLimiter(ConnectionLimits(), name="mocks", raise_files=True)
    config = ServerConfig(
        server, limiter=limiter, dialect=dialect_of(server.providers), reserved=RESERVED, host=host, port=port
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run()


def coverage(
    url: Annotated[str, typer.Option(help="Where the mocks listen.")] = f"http://{HOST}:8750",
    world: Annotated[str, typer.Option(help="The world's name.")] = "default",
) -> None:
    """Show which operations of the running mocks were called, and with which statuses they answered."""
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(f"{url.rstrip('/')}/_stand/worlds/{world}/coverage.txt", timeout=10) as answer:
            typer.echo(answer.read().decode(), nl=False)
    except (URLError, ValueError) as error:
        fail(f"cannot read the coverage from {url}: {error}; are the mocks running?")


def _welcome(server: Server, port: int) -> None:
    typer.secho("Bananastand mocks", bold=True, nl=False)
    typer.echo(f" at http://{HOST}:{port}/  (control plane: /_stand/)")
    for provider in server.providers.values():
        typer.echo(f"  {provider.title:<28} http://{HOST}:{port}{provider.mount}")
    for kind, secrets in server.worlds.default.credentials.items():
        typer.echo(f"  key for {kind:<20} {secrets[0]}")
