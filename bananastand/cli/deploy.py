"""`bananastand deploy`: a folder, a tar, a git repository or an image, built and live on a stand."""

from __future__ import annotations

import json
import math
import os
import re
import tarfile
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._connection import AsJson, Key, Url, as_json, connected, where
from ._ends import USAGE, fail

if TYPE_CHECKING:
    from bananastand.clients.stand import Stand

__all__ = ["deploy"]


def deploy(
    source: Annotated[str, typer.Argument(help="A folder, a tar file, a git URL or an image (image:NAME).")] = ".",
    name: Annotated[str | None, typer.Option(help="The project; the source's own name if left out.")] = None,
    env: Annotated[
        list[str] | None, typer.Option(help="K=V for the build's arguments and the replicas; may be given again.")
    ] = None,
    secret: Annotated[
        list[str] | None, typer.Option(help="The name of an environment variable to hand over; may be given again.")
    ] = None,
    builder: Annotated[str | None, typer.Option(help="process, container or auto.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the build.")] = False,
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """Build a source and put it live; its log is shown until it is.

    The same as [bold]git push[/bold] to http://127.0.0.1:8750/git/NAME.git with the key as password.
    """
    environment = dict(_pair(each) for each in env or ())
    secrets = {each: _secret(each) for each in secret or ()}
    local = Path(source).expanduser()
    if not local.exists() and not re.search("[:@]", source):  # no URL and no image: those have one of them
        fail(f"there is no folder or file {source} here; a git URL, or image:NAME, may be given too", USAGE)
    project = name or _name(local.resolve().name if local.exists() else source)
    with connected(url, key) as stand:
        order = {"environment": environment, "secrets": secrets, "builder": builder}
        if local.exists():
            build = _upload(stand, project, local, order)
        else:
            build = str(stand.post(f"/projects/{project}/deploy", {"source": source, **order})["build_id"])
        if detach:
            as_json({"build_id": build, "project": project}) if json_ else typer.echo(f"build {build} of {project}")
            return
        _follow(stand, build, quiet=json_)
        told = stand.get(f"/builds/{build}")
        _end(told, project, build, where(url, key)[1], json_)


def _end(told: dict[str, Any], project: str, build: str, key: str, json_: bool) -> None:
    live = told["state"] == "live"
    if json_:
        names = {"model_key": told.get("model_key"), "url": told.get("url"), "api_key": key, "build_id": build}
        as_json({"project": project, **names, "state": told["state"], "error": told.get("error")})
        raise typer.Exit(0 if live else 1)
    if not live:
        fail(f"{project} is not live, the build {told['state']}: {told.get('error') or 'see its log'}")
    typer.secho(f"\n{project} is live", fg=typer.colors.GREEN, bold=True)
    typer.echo(f"  url        {told['url']}\n  model key  {told['model_key']}\n\nCall it:\n")
    body = json.dumps({"prompt": "a large yellow banana on a purple background"})
    typer.echo(
        f"curl -s -X POST {told['url']}/ -H 'X-Banana-API-Key: {key}' -H 'Content-Type: application/json' -d '{body}'\n"
    )


def _follow(stand: Stand, build: str, quiet: bool) -> None:
    """Show the build's lines as they come, with the time since it began."""
    import time

    from rich.console import Console
    from rich.text import Text

    console, began = Console(stderr=quiet, highlight=False), time.monotonic()
    with console.status("building"):
        for row in stand.lines(f"/builds/{build}/log", follow=True):
            if not quiet:
                at = f"{time.monotonic() - began:6.1f} s  "
                console.print(Text(at, style="dim") + Text(str(row.get("line", ""))), soft_wrap=True)


def _upload(stand: Stand, project: str, source: Path, order: dict[str, Any]) -> str:
    path = f"/projects/{project}/archive"
    if source.is_file():
        return str(stand.upload(path, source, order)["build_id"])
    with tempfile.TemporaryDirectory(prefix="bananastand-") as folder:
        archive = Path(folder, "source.tar.gz")
        _pack(source, archive)
        return str(stand.upload(path, archive, order)["build_id"])


def _pack(folder: Path, archive: Path) -> None:
    """The folder without what .dockerignore leaves out, .git and environments; links as what they point to."""
    from bananastand.platform.building.ignore import read_ignored
    from bananastand.platform.building.last_commit import last_commit
    from bananastand.platform.building.sources import files_of

    committed = last_commit(folder)
    latest = datetime.fromisoformat(committed).timestamp() if committed else math.inf

    def dated(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime = min(info.mtime, latest)  # a clone's files are of today, and their times are what arrives
        return info

    kept = ("Dockerfile", ".dockerignore", "Dockerfile.dockerignore")
    with tarfile.open(archive, "w:gz", compresslevel=1, dereference=True) as tar:
        for name, entry in files_of(folder, read_ignored(folder), kept):
            if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(folder.resolve()):
                typer.echo(f"left out: {name} is a link that leads outside of {folder}", err=True)
            elif entry.is_file():
                tar.add(entry.path, name, recursive=False, filter=dated)


def _name(text: str) -> str:
    """A project's name from that of a folder, a repository or an image."""
    plain = re.sub(r"(\.git|\.tar(\.\w+)?|\.tgz)$", "", re.sub(r"#.*|@sha256:.*", "", text).rstrip("/"))
    word = re.split(r"[/:]", plain.removeprefix("image:"))[-1]
    if "://" not in plain and (tag := re.search(r"([^/:]+):[^/:]+$", plain.removeprefix("image:"))):
        word = tag[1] if "@" not in tag[1] else word
    name = re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")[:40].strip("-")
    if not name:
        fail(f"{text} gives the project no name; say --name", USAGE)
    return name


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        fail(f"--env wants K=V, not {text}", USAGE)
    return name, value


def _secret(name: str) -> str:
    if "=" in name:
        fail("--secret wants the name of an environment variable: a value here would be in the shell's history", USAGE)
    if name not in os.environ:
        fail(f"--secret {name}: there is no such environment variable", USAGE)
    return os.environ[name]
