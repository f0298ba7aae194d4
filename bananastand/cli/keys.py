"""`bananastand keys`: the keys of a stand."""

from __future__ import annotations

from typing import Annotated

import typer

from ._connection import AsJson, Key, Url, as_json, connected, table

__all__ = ["build_keys"]


def build_keys() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(help="Make, list and revoke the keys of a stand.", no_args_is_help=True)
    group.command("create")(_create)
    group.command("list")(_list)
    group.command("revoke")(_revoke)
    return group


def _create(
    name: Annotated[str, typer.Argument(help="What it is for.")] = "unnamed",
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """Make a key. It is shown this once."""
    with connected(url, key) as stand:
        answer = stand.post("/keys", {"name": name})
    if json_:
        return as_json(answer)
    typer.echo(f"key        {answer['key']}\napi_token  {answer.get('api_token', '')}\nid         {answer['id']}")


def _list(url: Url = None, key: Key = None, json_: AsJson = False) -> None:
    """List the keys, without what is secret of them."""
    with connected(url, key) as stand:
        rows = stand.get("/keys")["keys"]
    if json_:
        return as_json(rows)
    return table(
        ("ID", "NAME", "CREATED", "REVOKED"),
        [(row["id"], row["name"], row["created"], row.get("revoked")) for row in rows],
    )


def _revoke(
    id: Annotated[str, typer.Argument(help="The key's id, as list shows it.")],
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """Make a key worthless, at once."""
    with connected(url, key) as stand:
        answer = stand.delete(f"/keys/{id}")
    as_json(answer) if json_ else typer.echo(f"key {id} is revoked")
