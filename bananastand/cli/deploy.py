"""`bananastand deploy`: builds a folder, a tar file, a git repository or an image, and makes it live."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import re
import tarfile
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bananastand.platform.store.logs import plain

from ._connection import AsJson, Key, Url, as_json, connected, find_platform
from ._ends import USAGE, fail
from ._first_call import first_call
from ._progress import working

if TYPE_CHECKING:
    from bananastand.clients.platform import PlatformClient

__all__ = ["deploy"]

CPU = "BANANASTAND_CPU"  # the worker redirects torch's CUDA calls to the CPU
INSPECTION = "bananastand.platform.inspection"
LAST = ("error: ", "advice: ")  # lines of a build's log that the end of the command repeats
STARTING = "built; starting a replica"  # line of a build's log before its replica's lines


def deploy(
    source: Annotated[str, typer.Argument(help="A folder, a tar file, a git URL or an image (image:NAME).")] = ".",
    name: Annotated[str | None, typer.Option(help="The project's name; default: the source's own name.")] = None,
    env: Annotated[
        list[str] | None, typer.Option(help="K=V for the build's ARG lines and the replicas; may be repeated.")
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(help="The name of an environment variable to pass as a secret; may be repeated."),
    ] = None,
    builder: Annotated[str | None, typer.Option(help="process, container or auto.")] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="DATE|now",
            help="Install the packages of that day where a requirement names no version; default: the day of the "
            "repository's last commit.",
        ),
    ] = None,
    cpu: Annotated[
        bool, typer.Option("--cpu", help="Redirect .cuda() and device='cuda' to the CPU, where there is no GPU.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Print the build's id and do not wait.")] = False,
    show_key: Annotated[bool, typer.Option("--show-key", help="With --json: print the API key too.")] = False,
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """Build a source and make it live. Prints the build's log, the first replica's lines, and a first call.

    Example: [bold]bananastand deploy my-app --name my-app --env MODEL=sdxl-turbo[/bold]

    The same as [bold]git push[/bold] to http://127.0.0.1:8750/git/NAME.git with the key as password.

    No API key is printed without --show-key, so the output may go to a CI log.

    Exit status:
    0    the project is live
    1    the build or the app failed, or the platform does not answer
    2    the command, the key or the source is wrong
    130  interrupted; the build goes on
    """
    environment = dict(_pair(text) for text in env or ())
    if cpu:
        environment[CPU] = "1"
    secrets = {variable: _secret(variable) for variable in secret or ()}
    local = Path(source).expanduser()
    if not local.exists() and not re.search("[:@]", source):  # no URL and no image: those have one of them
        fail(f"there is no folder or file {source} here; a git URL or image:NAME works too", USAGE)
    project = name or _name(local.resolve().name if local.exists() else source)
    if local.is_dir() and not json_:
        _show_summary(local)
    with connected(url, key) as platform:
        order = {"environment": environment, "secrets": secrets, "builder": builder, "as_of": as_of}
        if local.exists():
            build = _upload(platform, project, local, order)
        else:
            build = str(platform.post(f"/projects/{project}/deploy", {"source": source, **order})["build_id"])
        if detach:
            as_json({"build_id": build, "project": project}) if json_ else typer.echo(
                f"build {build} of {project}; its log: bananastand logs --build {build} --follow"
            )
            return
        try:
            _follow(platform, build, quiet=json_)
        except KeyboardInterrupt:
            typer.echo(
                f"\nthe build goes on: bananastand logs --build {build} --follow; bananastand cancel {build} ends it",
                err=True,
            )
            raise typer.Exit(130) from None
        result = platform.get(f"/builds/{build}")
        if json_:
            _print_json(project, result, find_platform(url, key)[1] if show_key else None)
        else:
            _print_result(project, result)


def _print_json(project: str, build: dict[str, Any], key: str | None) -> None:
    names = {"model_key": build.get("model_key"), "url": build.get("url"), "build_id": build.get("id")}
    state = {"state": build["state"], "error": build.get("error"), "advice": build.get("advice")}
    as_json({"project": project, **names, **state, **({"api_key": key} if key is not None else {})})
    raise typer.Exit(0 if build["state"] == "live" else 1)


def _print_result(project: str, build: dict[str, Any]) -> None:
    if build["state"] != "live":
        hints = [f"advice: {build['advice']}"] if build.get("advice") else []
        log = f"its log: bananastand logs --build {build['id']}"
        if build["state"] == "cancelled":
            fail(f"the build of {project} was cancelled", hints=[log])
        fail(f"{project} is not live, its build {build['state']}: {build.get('error') or 'no reason'}",
             hints=[*hints, log])  # fmt: skip
    typer.secho(f"\n{project} is live", fg=typer.colors.GREEN, bold=True)
    typer.echo(f"  url        {build['url']}\n  model key  {build['model_key']}\n\nCall it:\n")
    typer.echo(first_call(project, build["url"], build.get("example_input")))


def _show_summary(folder: Path) -> None:
    """Print the summary of `bananastand inspect`, if that is installed."""
    if importlib.util.find_spec(INSPECTION) is None:
        return
    typer.echo(str(importlib.import_module(INSPECTION).summary(folder)).rstrip() + "\n")


def _follow(platform: PlatformClient, build: str, quiet: bool) -> None:
    """Print the build's lines with the seconds since the start; in a terminal, show a spinner."""
    from rich.console import Console
    from rich.text import Text

    console, started = Console(stderr=quiet, highlight=False), time.monotonic()
    with working(console) as progress:
        task = progress.add_task("building")
        for row in platform.lines(f"/builds/{build}/log", follow=True):
            line = plain(str(row.get("line", "")))
            if line.startswith(STARTING):
                progress.update(task, description="starting a replica")
            if not quiet and not line.startswith(LAST):
                at = f"{time.monotonic() - started:6.1f} s  "
                progress.console.print(Text(at, style="dim") + Text(line), soft_wrap=True)


def _upload(platform: PlatformClient, project: str, source: Path, order: dict[str, Any]) -> str:
    path = f"/projects/{project}/archive"
    if source.is_file():
        return str(platform.upload(path, source, order)["build_id"])
    with tempfile.TemporaryDirectory(prefix="bananastand-") as folder:
        archive = Path(folder, "source.tar.gz")
        _pack(source, archive)
        return str(platform.upload(path, archive, order)["build_id"])


def _pack(folder: Path, archive: Path) -> None:
    """Pack a folder without .git, environments and what .dockerignore names; links become what they point to."""
    from bananastand.platform.building.sources.ignore import read_ignored
    from bananastand.platform.building.sources.last_commit import last_commit
    from bananastand.platform.building.sources.sources import files_of

    committed = last_commit(folder)
    latest = datetime.fromisoformat(committed).timestamp() if committed else math.inf

    def dated(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime = min(info.mtime, latest)  # a clone's files are of today, and their times are what arrives
        return info

    always = ("Dockerfile", ".dockerignore", "Dockerfile.dockerignore")
    with tarfile.open(archive, "w:gz", compresslevel=1, dereference=True) as tar:
        for name, entry in files_of(folder, read_ignored(folder), always):
            if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(folder.resolve()):
                typer.echo(f"left out: {name} is a link that leads outside of {folder}", err=True)
            elif entry.is_file():
                tar.add(entry.path, name, recursive=False, filter=dated)


def _name(text: str) -> str:
    """Return a project's name from that of a folder, a repository or an image."""
    plain = re.sub(r"(\.git|\.tar(\.\w+)?|\.tgz)$", "", re.sub(r"#.*|@sha256:.*", "", text).rstrip("/"))
    word = re.split(r"[/:]", plain.removeprefix("image:"))[-1]
    if "://" not in plain and (tag := re.search(r"([^/:]+):[^/:]+$", plain.removeprefix("image:"))):
        word = tag[1] if "@" not in tag[1] else word
    name = re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")[:40].strip("-")
    if not name:
        fail(f"{text} gives the project no name: pass --name", USAGE)
    return name


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        fail(f"--env takes K=V, not {text}", USAGE)
    return name, value


def _secret(name: str) -> str:
    if "=" in name:
        fail("--secret takes the name of an environment variable: a value would stay in the shell's history", USAGE)
    if name not in os.environ:
        fail(f"--secret {name}: there is no such environment variable; export {name}=... first", USAGE)
    return os.environ[name]
