"""`bananastand inspect`: what a repository is and needs, before it is built."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._ends import USAGE, fail

if TYPE_CHECKING:
    from rich.console import Console

    from bananastand.platform.inspection import Fix, Inspection

__all__ = ["inspect"]

WIDTH = 14  # of the left column


def inspect(
    source: Annotated[str, typer.Argument(help="A folder, a tar file or a git URL.")] = ".",
    json_: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Write bananastand.toml with what is needed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --fix: print the patch, write nothing.")] = False,
    as_of: Annotated[
        str | None, typer.Option(help='The day for open requirements, such as 2023-03-01, or "now".')
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask neither the model hub nor the package index.")
    ] = False,
) -> None:
    """Say what a repository is, what it needs, and what will be different here. Nothing of it runs.

    Exits with 0 if the app should run as it is, 1 if something must be changed first, 2 for a wrong argument.
    """
    from bananastand.platform.building.errors import BuildError
    from bananastand.platform.inspection import fixes, inspect_source, patch, write

    if dry_run and not fix:
        fail("--dry-run goes with --fix", USAGE)
    try:
        with _folder(source, fix and not dry_run) as (folder, committed):
            inspection = inspect_source(
                folder, source=source, as_of=as_of, committed=committed, hub=not offline, index=not offline
            )
            changes = fixes(inspection, folder) if fix else []
            change = patch(folder, changes) if fix else ""
            if fix and change and not dry_run:
                write(folder, changes)
                again = inspect_source(
                    folder, source=source, as_of=as_of, committed=committed, hub=not offline, index=not offline
                )
            else:
                again = inspection
    except BuildError as error:
        fail(str(error), USAGE)
    if json_:
        typer.echo(json.dumps({**again.to_json(), **({"patch": change} if fix else {})}, indent=2))
    elif fix:
        _print_fix(changes, change, dry_run, again)
    else:
        _print(inspection)
    raise typer.Exit(0 if again.runs else 1)


@contextmanager
def _folder(source: str, writes: bool) -> Generator[tuple[Path, str | None]]:
    """The source as a folder, and the date of its last commit where its fetch tells."""
    from bananastand.platform.building import BuildSettings, fetch

    local = Path(source).expanduser()
    if local.is_dir():
        yield local.resolve(), None
        return
    if not local.exists() and ":" not in source:
        fail(f"there is no folder or file {source} here; a git URL works too", USAGE)
    if writes:
        fail("--fix writes into a folder: clone the repository and name the clone, or add --dry-run", USAGE)
    with tempfile.TemporaryDirectory(prefix="bananastand-") as temporary:
        folder, lines = Path(temporary, "source"), list[str]()
        named = str(local.resolve()) if local.exists() else source
        settings = BuildSettings(cache=Path(temporary, "cache"), roots=(Path("/"),))
        committed: Any = asyncio.run(fetch(named, folder, settings=settings, log=lines.append))
        yield folder, committed if isinstance(committed, str) else None


def _print_fix(changes: list[Fix], change: str, dry_run: bool, inspection: Inspection) -> None:
    if not change:
        typer.echo("nothing to write: no setting of bananastand.toml would help")
    else:
        typer.echo(change, nl=False)
        for fix in changes:
            typer.echo(f"  [{fix.table}] {fix.key}: {fix.reason}")
        typer.echo("nothing is written (--dry-run)" if dry_run else "written: bananastand.toml")
    for finding in inspection.changes if not dry_run else ():
        typer.echo(f"still to do: {finding.text}: {finding.change}")


def _print(inspection: Inspection) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for heading, rows in _sections(inspection):
        if rows:
            console.print(heading, style="bold")
            for left, right in rows:
                _row(console, left, right)
    changes = inspection.changes
    if not changes:
        console.print("It should run as it is.", style="bold green")
        return
    console.print(f"{len(changes)} to change first:", style="bold red")
    for finding in changes:
        _row(console, "", f"{finding.text}{f' ({finding.where})' if finding.where else ''}")
        _row(console, "", f"  {finding.change}")


def _row(console: Console, left: str, right: str) -> None:
    console.print(f"  {left:<{WIDTH}} {right}".rstrip(), markup=False)


def _sections(inspection: Inspection) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Iterate over headings with their rows of two columns."""
    yield inspection.source, [*_app(inspection), *_environment(inspection)]
    yield "Weights", _weights(inspection)
    yield (
        "Variables",
        [(row.name, f"{_value(row.value, row.required, row.secret)} ({row.where})") for row in inspection.variables],
    )
    yield (
        "Different here",
        [
            ("", f"{row.text}{f' ({row.where})' if row.where else ''}")
            for row in inspection.differences
            if row.change is None
        ],
    )
    yield "Not read", [("", file) for file in inspection.unread]


def _app(inspection: Inspection) -> Iterator[tuple[str, str]]:
    template = inspection.template
    yield "app", template.title
    yield "", f"{template.reason}{f' ({template.where})' if template.where else ''}"
    if template.versions:
        first, last = template.versions[0], template.versions[-1]
        yield "versions", first if first == last else f"{first} to {last}"
    if inspection.command:
        yield "command", inspection.command
    yield "port, health", f"{inspection.port or 'not named'}, {inspection.health or 'none of the known paths'}"
    for handler in inspection.handlers:
        yield handler.kind, f"{handler.route} {handler.name}() ({handler.where})"
    for place in inspection.webhooks:
        yield "webhook", f"sent at {place}"
    for path in inspection.paths:
        yield "absolute path", path


def _environment(inspection: Inspection) -> Iterator[tuple[str, str]]:
    base, torch = inspection.base, inspection.torch
    yield "base image", f"{base.image or 'none'}{f' ({base.where})' if base.where else ''}"
    yield "Python", f"{base.python or 'not named'}: {base.reason}"
    if torch is not None:
        yield "torch", f"{torch.version or 'any'}, CUDA {torch.cuda or 'none'}: {torch.reason}"
    kinds: dict[str, int] = {}
    for requirement in inspection.requirements:
        kinds[requirement.state] = kinds.get(requirement.state, 0) + 1
    if kinds:
        yield "requirements", ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        yield "", inspection.as_of
        can = {"yes": "can be had", "no": "cannot be had", "unknown": "not known whether they can be had"}
        yield "", f"{can[inspection.resolution.state]}: {inspection.resolution.reason}"
    if inspection.system_packages:
        yield "apt packages", " ".join(inspection.system_packages)


def _weights(inspection: Inspection) -> list[tuple[str, str]]:
    from bananastand.platform.inspection.summary import size

    rows = list[tuple[str, str]]()
    for found in inspection.weights:
        rows.append(
            (
                found.source,
                f"{found.name}{f' at {found.revision}' if found.revision else ''}, "
                f"fetched by the {found.during} ({', '.join(found.where[:3])})",
            )
        )
        details = [found.state] if found.state not in ("unknown", "there") else []
        details += ([found.reason] if found.reason else []) + [f"successor: {found.successor}"] * bool(found.successor)
        details += [size(found.size)] * bool(found.size) + [f"license: {found.license}"] * bool(found.license)
        details += ["the code sends a token"] * found.token
        if details:
            rows.append(("", "; ".join(details)))
    if inspection.weights:
        memory = inspection.memory
        about = f"about {size(memory.bytes)}: {memory.reason}" if memory.bytes else memory.reason
        rows.append(("GPU memory", about))
    return rows


def _value(value: str | None, required: bool, secret: bool) -> str:
    kind = "secret, " if secret else ""
    if required:
        return f"{kind}no value and no default"
    return f"{kind}{value}" if value else f"{kind}may be missing"
