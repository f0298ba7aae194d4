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
    from bananastand_mocks.listeners import MockServer

__all__ = ["coverage", "mocks"]

HOST = "127.0.0.1"
MATCHED = "method,path,query,body"  # of a call that is replayed


def mocks(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where they listen.")] = 8750,
    host: Annotated[str, typer.Option(help="On which address; their keys are known to everybody.")] = HOST,
    tls: Annotated[
        bool, typer.Option("--tls", help="Speak HTTPS, with a certificate authority of this machine.")
    ] = False,
    proxy: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="Also be a forward proxy (HTTPS_PROXY) there, for clients that have the services' addresses built in.",
        ),
    ] = None,
    tunnel: Annotated[
        bool, typer.Option("--tunnel", help="Let the proxy pass requests for other hosts on, instead of refusing them.")
    ] = False,
    ca: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the certificate authority is kept between starts.")
    ] = None,
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
    auto_advance: Annotated[
        bool,
        typer.Option("--auto-advance", help="Let our clients move the virtual clock where they would wait."),
    ] = False,
    openapi: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[,NAME]",
            help="Serve this OpenAPI document too, at /NAME: checked requests, answers from its examples and schemas,"
            " and what was created can be read again; may be given again.",
        ),
    ] = None,
    record: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[PROVIDER=]URL",
            help="Pass calls on to the real service there, and write its answers into the cassette, without keys; a"
            " provider alone is recorded from its documented address; may be given again.",
        ),
    ] = None,
    cassette: Annotated[Path, typer.Option(help="The file that --record writes.")] = Path("cassette.yaml"),
    replay: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="CASSETTE",
            help="Answer from this file instead; with --record and the same --cassette only new calls are passed on;"
            " may be given again.",
        ),
    ] = None,
    match: Annotated[str, typer.Option(help="What of a call must be as recorded.", metavar="PARTS")] = MATCHED,
    redact: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A header, parameter or field with a secret to keep out of the cassette too."
        ),
    ] = None,
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

    Your own API: bananastand mocks --openapi shop.yaml

    Record a real service once, then test without it: bananastand mocks --record falai --cassette falai.yaml, then
    bananastand mocks --replay falai.yaml

    Clients with the services' addresses built in: bananastand mocks --tls --proxy 8751, which prints what to set.
    """
    try:
        from bananastand_mocks.kernel.errors import StateError
        from bananastand_mocks.listeners import MockServer
        from bananastand_mocks.paperbanana.vlm import configured
        from bananastand_mocks.providers import NAMES
        from bananastand_mocks.server import Server
    except ImportError as error:
        fail(f"{error.name} is not here: pip install 'bananastand[mocks]'")
    runtime = None
    if banana_url is not None:
        from bananastand_mocks.bananadev.http_runtime import HttpRuntime

        runtime = partial(HttpRuntime, url=banana_url)
    if auto_advance and time != "virtual":
        fail("--auto-advance needs --time virtual: the real clock moves by itself", USAGE)
    try:
        server = Server(
            only or NAMES,
            kind=world,
            seed=seed,
            virtual=time == "virtual",
            speed=speed,
            step=step,
            auto_advance=auto_advance,
            state=state,
            hosts=allow_host or (),
            runtime=runtime,
            webhooks=allow_webhook or (),
            images=images,
            openapi=openapi or (),
            vlm=configured(vlm or (), os.environ, model=vlm_model),
        )
        if record or replay or redact or match != MATCHED:
            from bananastand_mocks.cassettes.exchanges import build_exchanges

            server.worlds.exchanges.update(
                build_exchanges(
                    server.providers,
                    record=record or (),
                    cassette=cassette,
                    replay=replay or (),
                    parts=[part.strip() for part in match.split(",")],
                    names=redact or (),
                )
            )
    except (ValueError, StateError) as error:
        fail(str(error), USAGE)
    folder = ca or _data_folder() if tls or proxy is not None else None
    try:
        listening = MockServer(
            server,
            host=host,
            port=port,
            tls=tls,
            proxy=proxy,
            tunnel=tunnel,
            folder=folder,
            names=[name for name in (host, *(allow_host or ())) if name not in ("0.0.0.0", "::")],
            raise_files=True,
            say=typer.echo,
        )
    except OSError as error:
        fail(f"cannot listen on {error.filename}: {error.strerror}; choose another with --port or --proxy")
    _welcome(listening)
    for line in (
        *(f"recording {text} into {cassette}" for text in record or ()),
        *(f"replaying {path}" for path in replay or ()),
    ):
        typer.echo(f"  {line}")
    if folder is not None:
        _print_variables(listening, folder)
    with contextlib.suppress(KeyboardInterrupt):
        listening.run()


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


def _data_folder() -> Path:
    from bananastand.settings import PlatformVariables

    return PlatformVariables().data_directory / "mocks"


def _welcome(listening: MockServer) -> None:
    address, server = f"{listening.scheme}://{HOST}:{listening.port}", listening.app
    typer.secho("Bananastand mocks", bold=True, nl=False)
    typer.echo(f" at {address}/  (control plane: /_stand/)")
    for provider in server.providers.values():
        typer.echo(f"  {provider.title:<28} {address}{provider.mount}")
    for kind, secrets in server.worlds.default.credentials.items():
        typer.echo(f"  key for {kind:<20} {secrets[0]}")


def _print_variables(listening: MockServer, folder: Path) -> None:
    """Print what to set so that programs trust the authority, and find the proxy."""
    from bananastand.forward_proxy.variables import export_lines, proxy_variables, trust_variables

    authority, proxy = listening.authority, listening.proxy_url
    if authority is None:
        return
    typer.echo(f"  In the shell of the client, to trust {authority.certificate}:")
    variables = proxy_variables(proxy, authority) if proxy is not None else trust_variables(authority)
    for line in export_lines(variables, listening.node_hook(folder)):
        typer.echo(f"    {line}")
    if proxy is not None:
        typer.echo(f"  The proxy at {proxy} answers {', '.join(listening.app.hosts.names.patterns)}")
