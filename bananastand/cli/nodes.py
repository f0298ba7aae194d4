"""`bananastand nodes`: the machines that replicas run on, and taking one out of use."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ._connection import AsJson, Key, Url, as_json, connected, table

__all__ = ["build_nodes"]

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
        rows = platform.get("/nodes")["nodes"]
    if json_:
        return as_json(rows)
    columns = ("NODE", "ADDRESS", "GPUS", "FREE", "MEMORY GIB", "REPLICAS", "WARM", "STATE", "LABELS")
    return table(columns, [_cells(row) for row in rows])


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    state = row["problem"] or ("cordoned" if row["cordoned"] else "ready")
    memory = f"{row['memory_mb'] / 1024:.0f}" if row["memory_mb"] else ""
    labels = " ".join(f"{name}={value}" for name, value in row["labels"].items())
    values = (row["address"], row["gpus"], f"{row['free_gpus']:g}", memory, row["replicas"], len(row["warm"]))
    return (row["name"] or "this machine", *values, state, labels)


def _drain(node: Node, url: Url = None, key: Key = None, json_: AsJson = False) -> None:
    """Move all replicas of a node to others, and give it no more.

    The replacement of each replica is ready before that replica stops, so that no call waits for it. Then the machine
    can be stopped. `bananastand nodes uncordon NODE` takes it into use again.
    """
    with connected(url, key) as platform:
        row = platform.post(f"/nodes/{node}/drain")
    if json_:
        return as_json(row)
    return typer.echo(f"{node} is drained: {row['moved']} replicas moved, {row['stopped']} stopped")


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
