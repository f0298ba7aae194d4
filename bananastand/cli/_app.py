"""Puts the commands together."""

from __future__ import annotations

import typer

from .backup import backup, restore
from .call import call
from .cluster import build_cluster
from .conform import conform
from .demo import demo
from .deploy import deploy
from .disk import df, prune
from .doctor import doctor
from .export import export
from .init import init
from .inspect import inspect
from .join import join
from .keys import build_keys
from .migrate import migrate
from .mocks import coverage, mocks
from .models import models
from .nodes import build_nodes
from .paint import paint
from .projects import builds, cancel, logs, ps, rm, rollback, scale
from .run import run
from .serve import serve
from .up import up

__all__ = ["build"]

EPILOG = (
    "Start with: bananastand paint 'a yellow banana on a purple background' -o banana.png. "
    "To run an app of your own: bananastand up, then bananastand init my-app and bananastand deploy my-app."
)


def build() -> typer.Typer:
    """Return all commands, with --version and shell completion."""
    app = typer.Typer(
        name="bananastand",
        help="A self-hosted stand-in for Banana.dev: paint pictures and serve them, offline.",
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_everywhere)
    app.command()(paint)
    app.command()(serve)
    app.command()(up)
    app.command()(demo)
    for command in (
        init,
        inspect,
        deploy,
        run,
        logs,
        ps,
        builds,
        scale,
        rollback,
        export,
        cancel,
        rm,
        df,
        prune,
        backup,
        restore,
        migrate,
    ):
        app.command(rich_help_panel="The local Banana")(command)
    app.add_typer(build_keys(), name="keys", rich_help_panel="The local Banana")
    app.add_typer(build_cluster(), name="cluster", rich_help_panel="Many machines")
    app.command(rich_help_panel="Many machines")(join)
    app.add_typer(build_nodes(), name="nodes", rich_help_panel="Many machines")
    app.command()(models)
    app.command()(mocks)
    app.command()(coverage)
    # Its arguments are those of the operation, --help included.
    raw = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": list[str]()}
    app.command(context_settings=raw)(call)
    app.command()(conform)
    app.command()(doctor)
    return app


def _version(requested: bool) -> None:
    if requested:
        from bananastand import __version__

        typer.echo(f"bananastand {__version__}")
        raise typer.Exit


def _everywhere(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """A self-hosted stand-in for Banana.dev: paint pictures and serve them, offline."""
