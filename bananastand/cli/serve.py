"""`bananastand serve`: any Potassium app on a server that takes many requests at once."""

from __future__ import annotations

import os
from typing import Annotated

import typer

__all__ = ["serve"]


def serve(
    target: Annotated[str, typer.Argument(help='The app: a file such as app.py, or "module:name".')] = "app.py",
    host: Annotated[str, typer.Option(envvar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Handlers at once (default: what the app declares, else 1).")
    ] = None,
    queue: Annotated[int, typer.Option(min=0, help="Requests that may wait for a handler.")] = 1000,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for a request, its wait included.")] = 300.0,
    max_body: Annotated[float, typer.Option(min=0.001, help="Largest body, in MiB.")] = 32.0,
    drain: Annotated[float, typer.Option(min=0, help="Seconds for running requests when stopping.")] = 30.0,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            envvar="BANANASTAND_ALLOW_HOSTS",
            help='Another host name that it is called by; may be repeated. "*" lets in all names.',
        ),
    ] = None,
    background_queue: Annotated[int, typer.Option(min=1, help="Background tasks that may wait or run.")] = 256,
    access_log: Annotated[bool, typer.Option(help="A line for each request.")] = True,
) -> None:
    """Host a Potassium app: same routes and bodies as its own server, many handlers at once, limits, health, metrics.

    It listens before the app is loaded and answers 503 until then. Beside the app's routes there are GET /healthz,
    /readyz, /ping and /metrics. SIGTERM or Ctrl-C finishes what runs.

    [bold]bananastand serve app.py[/bold] runs the file as python would, with Potassium.serve replaced;
    [bold]bananastand serve app:app[/bold] imports the object.
    """
    from bananastand.serving import Options
    from bananastand.serving import serve as run

    options = Options(
        host=host,
        port=port,
        concurrency=concurrency,
        queue=queue,
        timeout=timeout,
        max_body=int(max_body * 2**20),
        drain=drain,
        access_log=access_log,
        hosts=tuple(allow_host or ()),
        background_queue=background_queue,
        guarded="BANANASTAND_REPLICA" not in os.environ,  # the platform has checked them
    )
    raise typer.Exit(run(target, options))
