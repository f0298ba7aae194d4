"""`bananastand backup` and `restore`: a data directory in one file, and back again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bananastand.platform.store.logs import plain

from ._ends import fail

__all__ = ["backup", "restore"]

Data = Annotated[Path | None, typer.Option("--data", envvar="BANANASTAND_DATA", help="The platform's data directory.")]


def backup(
    file: Annotated[Path, typer.Argument(help="The new file, such as bananastand-2024-03-31.tar.gz.")],
    data: Data = None,
) -> None:
    """Back up a platform's data, also while it runs.

    The file holds keys and secrets; only this user can read it. It holds the sources of the deployed versions, which
    are built again after a restore.

    Example: [bold]bananastand backup bananastand-2024-03-31.tar.gz[/bold]
    """
    from bananastand.platform.errors import PlatformError
    from bananastand.platform.store.backup import back_up

    try:
        size = back_up(_directory(data), file.absolute())
    except PlatformError as error:
        fail(str(error))
    typer.echo(f"{file}: {size / 2**20:.1f} MiB; back with: bananastand restore {file} --data FOLDER")


def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file written by bananastand backup.")],
    data: Data = None,
) -> None:
    """Restore a backup into an empty directory, or into one that has lost its database.

    The next `bananastand up --data FOLDER` builds the live versions again.

    Example: [bold]bananastand restore bananastand-2024-03-31.tar.gz --data /srv/bananastand[/bold]
    """
    from bananastand.platform.errors import PlatformError
    from bananastand.platform.store.backup import restore as put_back

    folder = _directory(data)
    try:
        done = put_back(file.absolute(), folder)
    except PlatformError as error:
        fail(str(error))
    typer.echo(plain(f"{folder}: {done}; start with: bananastand up --data {folder}"))


def _directory(data: Path | None) -> Path:
    from bananastand.platform.settings import default_data

    return (data or default_data()).expanduser().resolve()
