"""`bananastand ps`, `builds`, `logs`, `scale`, `rollback`, `rm` and `cancel`: show and change projects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bananastand.platform.store.logs import plain

from ._connection import AsJson, Key, Url, as_json, connected, table
from ._ends import USAGE, fail

if TYPE_CHECKING:
    from bananastand.clients.platform import PlatformClient

__all__ = ["builds", "cancel", "logs", "ps", "rm", "rollback", "scale"]

PAGE = 200  # projects that are asked for at once
OPTIONAL = ("gpus", "gpu_memory_gb", "memory_mb", "labels")  # columns that are left out where they say nothing
Project = Annotated[str, typer.Argument(help="The project's name or model key.")]


def ps(
    project: Annotated[str | None, typer.Argument(help="Only this project's replicas.")] = None,
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """List the projects with their problems, or the replicas of one."""
    with connected(url, key) as platform:
        if project is not None:
            rows = platform.get(f"/projects/{project}/replicas")["replicas"]
            if json_:
                return as_json(rows)
            where = ("node", "address") if any(row.get("node") for row in rows) else ("port",)
            names = ("id", "state", "pid", *where, "card", "running", "answered", "memory_mb", "age_seconds",
                     "start_seconds", "readiness")  # fmt: skip
            return table(("REPLICA", *(name.upper().replace("_", " ") for name in names[1:])), _cells(rows, names))
        rows = _all_projects(platform)
    if json_:
        return as_json(rows)
    names = ("name", "model_key", "ready", "replicas", "queued", "running", "url", "problem")
    return table(tuple(name.upper().replace("_", " ") for name in names), _cells(rows, names))


def _all_projects(platform: PlatformClient) -> list[dict[str, Any]]:
    """Return all projects, some at a time, so that calls have their turn."""
    rows = page = platform.get(f"/projects?limit={PAGE}")["projects"]
    while len(page) == PAGE:
        page = platform.get(f"/projects?limit={PAGE}&after={page[-1]['id']}")["projects"]
        rows = rows + page
    return rows


def builds(project: Project, url: Url = None, key: Key = None, json_: AsJson = False) -> None:
    """List a project's builds, newest first."""
    with connected(url, key) as platform:
        rows = platform.get(f"/projects/{project}/builds")["builds"]
    if json_:
        return as_json(rows)
    for row in rows:
        row["now"] = "*" if row.get("live") else ""
    names = ("now", "id", "state", "created", "finished", "source", "error")
    return table(("", *(name.upper() for name in names[1:])), _cells(rows, names))


def logs(
    project: Annotated[str | None, typer.Argument(help="The project's name or model key.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="And what comes from now on.")] = False,
    build: Annotated[str | None, typer.Option(help="The log of this build instead.")] = None,
    last: Annotated[
        int | None, typer.Option("--last", "-n", min=1, max=10_000, help="Only the last lines, so many of them.")
    ] = None,
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
    raw: Annotated[bool, typer.Option("--raw", help="As the app printed them, escape sequences and all.")] = False,
) -> None:
    """Show what a project's replicas print, or the log of a build.

    An app's escape sequences, which could rewrite the terminal, are removed unless --raw is given.
    """
    import json

    if (project is None) == (build is None):
        fail("name a project, or a build with --build", USAGE)
    path = f"/builds/{build}/log" if build else f"/projects/{project}/logs"
    with connected(url, key) as platform:
        for row in platform.lines(path, follow=follow, last=last):
            who = f" {str(row['replica'])[:8]}" if row.get("replica") else ""
            text = f"{str(row.get('time', ''))[:19]}{who}  {row.get('line', '')}"
            typer.echo(json.dumps(row) if json_ else text if raw else plain(text), color=raw or None)


def scale(
    project: Project,
    least: Annotated[int | None, typer.Option("--min", min=0, help="Replicas that always run.")] = None,
    most: Annotated[int | None, typer.Option("--max", min=0, help="Most replicas.")] = None,
    idle: Annotated[int | None, typer.Option(min=0, help="Seconds without a call before a replica stops.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=0, help="Calls at once in a replica, 0 for its own.")] = None,
    timeout: Annotated[int | None, typer.Option(min=1, help="Seconds that a call may take.")] = None,
    host: Annotated[str | None, typer.Option(help="bananastand or potassium: what answers in a replica.")] = None,
    gpus: Annotated[
        str | None, typer.Option(help="GPUs of a replica: 0, 2, 0.5 of one, or auto for one if there are any.")
    ] = None,
    gpu_memory: Annotated[float | None, typer.Option(min=0, help="GiB that its GPUs have at least, 0 for any.")] = None,
    memory: Annotated[
        float | None, typer.Option(min=0, help="GiB of memory of a replica, 0 for the limit of `up`.")
    ] = None,
    on: Annotated[
        list[str] | None, typer.Option("--on", help="NAME=VALUE that its node is labelled with, '' for any node.")
    ] = None,
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """Change how a project scales and what its replicas need of a machine; without options, show it.

    New replicas get what they need; those that run stay as they are.

    Example: [bold]bananastand scale my-app --max 8 --gpus 1 --memory 24 --on gpu=a100[/bold]
    """
    names = {"min_replicas": least, "max_replicas": most, "idle_timeout": idle, "concurrency": concurrency,
             "inference_timeout": timeout, "host": host}  # fmt: skip
    changes: dict[str, Any] = {name: value for name, value in names.items() if value is not None}
    changes |= _needs(gpus, gpu_memory, memory, on)
    with connected(url, key) as platform:
        row = platform.patch(f"/projects/{project}", changes) if changes else platform.get(f"/projects/{project}")
    if json_:
        return as_json(row)
    if not row["concurrency"]:
        row["concurrency"] = f"{row['takes']} (its own)"
    columns = ("name", "min_replicas", "max_replicas", "idle_timeout", "concurrency", "inference_timeout", "host",
               "gpus", "gpu_memory_gb", "memory_mb", "labels")  # fmt: skip
    columns = tuple(name for name in columns if name not in OPTIONAL or row.get(name) not in (None, ""))
    return table(tuple(name.upper().replace("_", " ") for name in columns), _cells([row], columns))


def _needs(
    gpus: str | None, gpu_memory: float | None, memory: float | None, on: list[str] | None
) -> dict[str, float | int | str | None]:
    """Return the changes of what a replica needs of its node."""
    changes: dict[str, float | int | str | None] = {}
    if gpus is not None:
        try:
            number = None if gpus == "auto" else float(gpus)
        except ValueError:
            number = math.nan
        if number is not None and not math.isfinite(number):
            fail(f"--gpus {gpus!r} is no number: give 0, 1, 2, 0.5 or auto", USAGE)
        changes["gpus"] = number
    for option, size in (("--gpu-memory", gpu_memory), ("--memory", memory)):
        if size is not None and not math.isfinite(size):
            fail(f"{option} {size} is no size: give a number of GiB, such as 24", USAGE)
    if gpu_memory is not None:
        changes["gpu_memory_gb"] = gpu_memory or None
    if memory is not None:  # 0 alone stands for no number of its own
        changes["memory_mb"] = round(memory * 1024) if memory else None
    if on is not None:
        changes["labels"] = ",".join(label for label in on if label)
    return changes


def rollback(
    project: Project,
    build: Annotated[str | None, typer.Argument(help="The build to go back to; default: the one before.")] = None,
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """Give a project's traffic to an earlier version, at once."""
    with connected(url, key) as platform:
        answer = platform.post(f"/projects/{project}/rollback", {"build_id": build} if build else {})
    as_json(answer) if json_ else typer.echo(f"{project} is at build {answer['build_id']}")


def cancel(
    build: Annotated[str, typer.Argument(help="The build's id.")], url: Url = None, key: Key = None,
    json_: AsJson = False,
) -> None:  # fmt: skip
    """Cancel a build."""
    with connected(url, key) as platform:
        answer = platform.post(f"/builds/{build}/cancel")
    as_json(answer) if json_ else typer.echo(f"build {build}: {answer['state']}")


def rm(
    project: Project,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """Delete a project: its replicas stop, its builds and results are deleted."""
    if not yes and not typer.confirm(f"Delete {project} with its builds and results?"):
        raise typer.Exit(1)
    with connected(url, key) as platform:
        answer = platform.delete(f"/projects/{project}")
    as_json(answer) if json_ else typer.echo(f"{project} is deleted")


def _cells(rows: list[dict[str, Any]], names: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return [tuple(row.get(name) for name in names) for row in rows]
