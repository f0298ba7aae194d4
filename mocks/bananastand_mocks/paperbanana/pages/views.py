"""The admin's pages as HTML: each function collects what its template shows and changes nothing."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

from ...kernel.world import World
from ...templates import render_template
from .. import state
from ..history import matching
from ..webhooks import DELIVER

__all__ = ["delete_key_page", "key_page", "keys_page", "login_page", "task_page", "tasks_page"]

TEMPLATES = Path(__file__).with_name("templates")
REFRESH = 2  # seconds until the browser asks again, while something is still to come
PAGE_SIZE, LATEST, USAGE = 20, 5, 100  # tasks of a page, tasks among the keys, usages of a key


def login_page(root: str, error: str = "") -> bytes:
    """The form for the admin key, with what was wrong before."""
    return _render("login.html", root, "Log in", error=error, logged_in=False)


def keys_page(world: World, root: str, *, created: str = "", error: str = "") -> bytes:
    """All keys, the form for a new one, and the latest tasks."""
    keys = reversed(state.keys(world).items())
    tasks = matching(world)[:LATEST]
    return _render("keys.html", root, "Keys", error=error, created=created, keys=list(keys), tasks=tasks)


def key_page(world: World, root: str, key: str, row: state.Row, *, error: str = "") -> bytes:
    """One key: what may be changed, and its usage."""
    usage = list(islice(state.usage_of(world, key), USAGE))
    return _render("key.html", root, row["name"] or "Key without a name", error=error, key=key, row=row, usage=usage)


def delete_key_page(root: str, row: state.Row) -> bytes:
    """Asks whether a key is really to be deleted."""
    return _render("delete_key.html", root, f"Delete {row['name']}?", row=row)


def tasks_page(world: World, root: str, number: int, status: str | None) -> bytes:
    """A page of the history, newest first.

    Args:
        world: The world of the tasks.
        root: The path under which the provider is mounted.
        number: The page's number, from 1.
        status: Tasks of this status only; None for all.
    """
    tasks = matching(world, status=status)
    pages = [("Newer", number - 1, "prev")] if number > 1 else []
    pages += [("Older", number + 1, "next")] if number * PAGE_SIZE < len(tasks) else []
    rows = tasks[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    return _render("tasks.html", root, "History", tasks=rows, total=len(tasks), status=status, pages=pages)


def task_page(world: World, root: str, row: state.Row, description: str | None, *, still: bool) -> bytes:
    """One task: its picture, what it was made from, and the tries to deliver its webhook.

    Args:
        world: The task's world.
        root: The path under which the provider is mounted.
        row: The task.
        description: What the finished figure shows.
        still: Whether the page must not refresh itself.
    """
    hook = row["webhook"]
    waiting = row["status"] in ("pending", "running") or (hook is not None and hook["status"] in (None, "retrying"))
    deliveries = [event["due"] for event in world.clock.pending
                  if event["event"] == DELIVER and event["details"]["task_id"] == row["task_id"]]  # fmt: skip
    return _render(
        "task.html",
        root,
        f"Task {row['task_id']}",
        refresh=REFRESH if waiting and not still else None,
        row=row,
        description=description,
        next_try=deliveries[0] if deliveries else None,
        parameters=json.dumps(row["input_params"], indent=2, ensure_ascii=False),
    )


def _render(name: str, root: str, title: str, **context: Any) -> bytes:
    defaults: dict[str, Any] = {"error": "", "refresh": None, "logged_in": True}
    return render_template(TEMPLATES, name, FILTERS, **{**defaults, **context}, root=root, title=title)


def _seconds_text(seconds: float) -> str:
    """A moment to the second, such as 2026-02-15 10:30:00."""
    return str(state.iso(seconds))[:19].replace("T", " ")


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


FILTERS = {"iso": state.iso, "mask": state.mask, "seconds_text": _seconds_text, "number": _number}
