"""`bananastand nodes`: the machines that replicas run on, taking one out of use, and the fronts of a database."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from ._connection import AsJson, Key, Url, as_json, connected, table
from ._ends import fail

__all__ = ["build_nodes"]

POLL = 0.5  # seconds

Node = Annotated[str, typer.Argument(help="The node's name.")]


def build_nodes() -> typer.Typer:
    """Return the group of commands."""
    group = typer.Typer(
        help="List the nodes with their GPUs, memory and replicas; drain, cordon or uncordon one.",
        invoke_without_command=True,
    )
    group.callback()(_list)
    group.command("drain")(_drain)
    group.command("cordon")(_cordon)
    group.command("uncordon")(_uncordon)
    return group


def _list(context: typer.Context, url: Url = None, key: Key = None, json_: AsJson = False) -> None:
    """List the nodes with their GPUs, memory and replicas."""
    if context.invoked_subcommand is not None:
        return None
    with connected(url, key) as platform:
        rows, fronts = platform.get("/nodes")["nodes"], platform.get("/fronts")["fronts"]
    if json_:
        return as_json(rows)
    columns = ("NODE", "ADDRESS", "GPUS", "FREE", "MEMORY GIB", "REPLICAS", "WARM", "STATE", "LABELS")
    table(columns, [_cells(row) for row in rows])
    if not fronts:
        return None
    typer.echo()
    roles = {True: "active", False: "stands by"}
    cells = [(front["name"], front["url"], roles[front["active"]], front["version"]) for front in fronts]
    return table(("FRONT", "ADDRESS", "ROLE", "VERSION"), cells)


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    state = row["problem"] or ("cordoned" if row["is_cordoned"] else "ready")
    memory = f"{row['memory_mb'] / 1024:.0f}" if row["memory_mb"] else ""
    labels = " ".join(f"{name}={value}" for name, value in row["labels"].items())
    values = (row["address"], row["gpus"], f"{row['free_gpus']:g}", memory, row["replicas"], len(row["warm"]))
    return (row["name"] or "this machine", *values, state, labels)


def _drain(
    node: Node,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait until the node is empty.")] = 600.0,
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """Move all replicas of a node to others, give it no more, and wait until it is empty.

    The replacement of each replica is ready before that replica stops, where another node has room for it. Running
    calls end where they are. Then the machine can be stopped; `bananastand nodes uncordon NODE` uses it again.
    """
    deadline = time.monotonic() + timeout
    with connected(url, key) as platform:
        leaving = platform.post(f"/nodes/{node}/drain")["leaving"]
        if not json_:
            typer.echo(f"{leaving} replicas leave {node}")
        while left := next((row["replicas"] for row in platform.get("/nodes")["nodes"] if row["name"] == node), 0):
            if time.monotonic() > deadline:
                fail(f"{left} replicas are still on {node}", hints=[f"to wait on: bananastand nodes drain {node}"])
            time.sleep(POLL)
    return as_json({"node": node, "left": leaving}) if json_ else typer.echo(f"{node} is empty and gets no replicas")


def _cordon(node: Node, url: Url = None, key: Key = None, json_: AsJson = False) -> None:
    """Start no further replicas on a node. Those that run there stay."""
    _set(node, True, url, key, json_)


def _uncordon(node: Node, url: Url = None, key: Key = None, json_: AsJson = False) -> None:
    """Start replicas on a node again."""
    _set(node, False, url, key, json_)


def _set(node: str, is_cordoned: bool, url: str | None, key: str | None, json_: bool) -> None:
    with connected(url, key) as platform:
        row = platform.post(f"/nodes/{node}/{'cordon' if is_cordoned else 'uncordon'}")
    as_json(row) if json_ else typer.echo(f"{node} {'gets no further replicas' if is_cordoned else 'is in use again'}")
