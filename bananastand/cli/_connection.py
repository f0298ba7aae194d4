"""Connects to the platform: URL and key come from options, the environment, or the file that `bananastand up` wrote."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tomllib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bananastand.platform.store.logs import plain

from ._ends import USAGE, fail

if TYPE_CHECKING:
    from bananastand.clients.platform import PlatformClient

__all__ = ["AsJson", "Key", "Url", "as_json", "connected", "find_platform", "table"]

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="BANANASTAND_URL",
        help="URL of the platform; default: that of the last `bananastand up` here.",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="BANANASTAND_KEY",
        help="An API key; default: the one that `bananastand up` wrote for this user.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
USUAL = "http://127.0.0.1:8750"


def find_platform(url: str | None, key: str | None) -> tuple[str, str]:
    """Return the URL and key of the platform; without a key, end the program."""
    share = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    data = Path(os.environ.get("BANANASTAND_DATA") or Path(share) / "bananastand")
    saved = dict[str, Any]()
    try:
        saved = tomllib.loads((data / "client.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        fail(f"{data / 'client.toml'} cannot be read: {error}", USAGE)
    saved_url = str(saved.get("url", USUAL)).rstrip("/")
    address = (url or saved_url).rstrip("/")
    if "://" not in address:
        address = f"http://{address}"
    if key is None and address == saved_url:  # the key of one platform is not sent to another
        key = saved.get("key")
    if not key:
        fail(
            f"no key for {address}: pass --key or set BANANASTAND_KEY; the first `bananastand up` prints one, and "
            "`bananastand keys create`, where the platform runs, makes another",
            USAGE,
        )
    return address, str(key)


@contextlib.contextmanager
def connected(url: str | None, key: str | None) -> Generator[PlatformClient]:
    """Open a client of the platform; an error of the platform ends the program with its reason."""
    from bananastand.clients.platform import PlatformClient, PlatformClientError

    address, secret = find_platform(url, key)
    try:
        with PlatformClient(address, secret) as platform:
            yield platform
    except PlatformClientError as error:
        hints = ["bananastand ps lists the projects"] if str(error).startswith("there is no project") else []
        fail(str(error), USAGE if error.status in (400, 401, 404, 409, 422) else 1, hints=hints)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def as_json(value: Any) -> None:
    """Print a value for programs."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # JSON itself escapes only those below 0x20; a terminal obeys these too.
    typer.echo(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))


def table(headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print a plain table. Nothing in it is cut, so that ids and keys can be copied."""
    cells = [headings, *(tuple("" if cell is None else _line(str(cell)) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _line(text: str) -> str:
    return plain(" ".join(text.splitlines()))
