"""`bananastand df` and `prune`: what a platform's data takes, and what of it nobody needs any more."""

from __future__ import annotations

from typing import Annotated

import typer

from bananastand.platform.store.disk_usage import format_size

from ._connection import AsJson, Key, Url, as_json, connected, table

__all__ = ["df", "prune"]


def df(url: Url = None, key: Key = None, json_: AsJson = False) -> None:
    """Show what the platform's data takes on disk, and how much of it a prune would give back."""
    with connected(url, key) as stand:
        disk = stand.get("/disk")
    if json_:
        return as_json(disk)
    rows = [(each["name"], format_size(each["bytes"]), each["entries"], each["what"]) for each in disk["parts"]]
    budget = f", of {format_size(disk['budget'])} allowed" if disk["budget"] else ""
    rows.append(("total", format_size(disk["total"]), "", f"{disk['data']}{budget}"))
    rows.append(("reclaimable", format_size(disk["reclaimable"]), "", "bananastand prune"))
    rows.append(("free", format_size(disk["free"]), "", "on its disk"))
    return table(("PART", "SIZE", "ENTRIES", "WHAT"), rows)


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and remove nothing.")] = False,
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """Remove what no project needs: failed builds, old versions, leftovers of deleted projects, unused caches.

    The platform does the same at its start and every hour. What is live, running or being built stays.
    """
    with connected(url, key) as stand:
        done = stand.post(f"/prune?dry_run={str(dry_run).lower()}")
    if json_:
        return as_json(done)
    if done["removed"]:
        rows = [(each["kind"], format_size(each["bytes"]), each["path"], each["reason"]) for each in done["removed"]]
        table(("KIND", "SIZE", "PATH", "REASON"), rows)
    typer.echo(f"{format_size(done['bytes'])} {'would be given back' if dry_run else 'given back'}")
    return None
