"""`bananastand keys`: the API keys of a platform."""

from __future__ import annotations

from typing import Annotated

import typer

from ._connection import AsJson, Key, Url, as_json, connected, table

__all__ = ["build_keys"]


def build_keys() -> typer.Typer:
    """Return the group of commands."""
    group = typer.Typer(help="Create, list and revoke the API keys of a platform.", no_args_is_help=True)
    group.command("create")(_create)
    group.command("list")(_list)
    group.command("revoke")(_revoke)
    return group


def _create(
    name: Annotated[str, typer.Argument(help="What the key is for.")] = "unnamed",
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """Create an API key. It is printed this once."""
    with connected(url, key) as platform:
        body = platform.post("/keys", {"name": name})
    if json_:
        return as_json(body)
    typer.echo(f"key        {body['key']}\napi_token  {body.get('api_token', '')}\nid         {body['id']}")


def _list(url: Url = None, key: Key = None, json_: AsJson = False) -> None:
    """List the API keys by id; the keys themselves are not stored."""
    with connected(url, key) as platform:
        rows = platform.get("/keys")["keys"]
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
    """Revoke an API key, at once."""
    with connected(url, key) as platform:
        body = platform.delete(f"/keys/{id}")
    as_json(body) if json_ else typer.echo(f"key {id} is revoked")
