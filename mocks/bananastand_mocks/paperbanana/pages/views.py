"""What the admin sees, as HTML made of rows. Changes nothing."""

from __future__ import annotations

import json

from ...kernel.world import World
from .. import state
from ..history import matching
from ..webhooks import DELIVER
from .html import Html, button, document, field, page, table, tag

__all__ = ["confirm", "key_page", "keys_page", "login", "task_page", "tasks_page"]

REFRESH = 2  # seconds, while something is still to come
SIZE = 20
DOING = ("pending", "running")


def login(root: str, error: str = "") -> str:
    """The form for the admin key."""
    told = [tag("p", error, class_="bad", role="alert")] if error else []
    form = tag(
        "form",
        field("Admin key", "key", kind="password", required=True, autofocus=True),
        tag("p", tag("button", "Log in", class_="main")),
        method="post",
        action=f"{root}/adm/login",
    )
    return document("Log in", root, [*told, form], known=False)


def keys_page(world: World, root: str, *, created: str = "", error: str = "") -> str:
    """All keys, the form for a new one, and the latest tasks."""
    told: list[Html] = []
    if created:
        told.append(tag("p", "The new key, shown this once: ", tag("code", created), class_="told", role="status"))
    if error:
        told.append(tag("p", error, class_="bad", role="alert"))
    rows = [_key_row(root, key, row) for key, row in reversed(state.keys(world).items())]
    heads = ("Name", "Key", "Quota left", "Used", "State", "Created", "")
    form = tag(
        "form",
        field("Name", "name", required=True),
        field("Quota", "quota", kind="number", hint="Left empty it is unlimited.", min="1"),
        field("Webhook URL", "webhook_url", kind="url"),
        field("Webhook secret", "webhook_secret", kind="password"),
        tag("p", tag("button", "Create key", class_="main")),
        method="post",
        action=f"{root}/adm/keys",
    )
    keys = table("Keys", heads, rows, empty="There is no key.", titled=True)
    latest = _tasks(root, matching(world)[:5], "Latest tasks")
    return document("Keys", root, [*told, keys, tag("h2", "New key"), form, latest])


def key_page(world: World, root: str, key: str, row: state.Row, *, error: str = "") -> str:
    """One key: what may be changed, and its usage."""
    told = [tag("p", error, class_="bad", role="alert")] if error else []
    at = f"{root}/adm/keys/{row['number']}"
    form = tag(
        "form",
        field("Quota left", "quota_remaining", kind="number", value=_number(row["quota_remaining"]), min="0"),
        field("Quota in all", "quota_total", kind="number", value=_number(row["quota_total"]), min="0"),
        field("Webhook URL", "webhook_url", kind="url", value=row["webhook_url"] or "",
              hint="Left empty, webhooks are sent only where a request asks for one."),
        field("New webhook secret", "webhook_secret", kind="password", hint="Left empty it stays as it is."),
        tag("p", tag("button", "Save", class_="main")),
        method="post",
        action=at,
    )  # fmt: skip
    used = [
        (str(each["id"]), tag("a", each["task_id"], href=f"{root}/adm/tasks/{each['task_id']}"), each["endpoint"],
         _moment(each["created_at"]))
        for each in list(state.usage_of(world, key))[:100]
    ]  # fmt: skip
    facts = _facts(
        ("Key", tag("code", state.mask(key))),
        ("State", _state(row)),
        ("Used", str(row["total_used"])),
        ("Created", _moment(row["created_at"])),
    )
    log = table("Usage", ("Number", "Task", "Endpoint", "At"), used, empty="Nothing was accepted for this key.")
    return document(row["name"] or "Key without a name", root, [*told, facts, _actions(root, row), form, log])


def confirm(root: str, row: state.Row) -> str:
    """Whether a key is really to be deleted."""
    at = f"{root}/adm/keys/{row['number']}"
    question = "The key and its usage log are gone for good. Its tasks stay in the history."
    choice = tag("div", button(f"{at}/delete", "Delete", about=row["name"], kind="bad"), tag("a", "Keep it", href=at),
                 class_="actions")  # fmt: skip
    return document(f"Delete {row['name']}?", root, [tag("p", question), choice])


def tasks_page(world: World, root: str, number: int, status: str | None) -> str:
    """A page of the history, newest first."""
    found = matching(world, status=status)
    shown = found[(number - 1) * SIZE : number * SIZE]
    states = ("", "pending", "running", "completed", "failed")
    options = [tag("option", each or "any", value=each, selected=each == (status or "")) for each in states]
    chosen = tag("p", tag("label", "Status", for_="status"), tag("select", *options, name="status", id="status"))
    form = tag("form", chosen, tag("p", tag("button", "Show")), method="get", action=f"{root}/adm/tasks")
    query = f"&status={status}" if status else ""
    turns = [
        tag("a", text, href=f"{root}/adm/tasks?page={to}{query}", rel=rel)
        for text, to, rel, there in (
            ("Newer", number - 1, "prev", number > 1),
            ("Older", number + 1, "next", number * SIZE < len(found)),
        )
        if there
    ]
    return document("History", root, [form, _tasks(root, shown, f"{len(found)} tasks"), tag("nav", *turns)])


def task_page(world: World, root: str, row: state.Row, description: str | None, *, still: bool) -> str:
    """One task: its picture, what it was made from, and the tries to deliver its webhook."""
    hook = row["webhook"]
    waiting = row["status"] in DOING or (hook is not None and hook["status"] in (None, "retrying"))
    at = f"{root}/adm/tasks/{row['task_id']}"
    refreshing = waiting and not still
    told = [
        tag("p", "This page asks again every two seconds. ", tag("a", "Stop that", href=f"{at}?still=1"), role="status")
    ] if refreshing else []  # fmt: skip
    facts = _facts(
        ("Status", _status(row["status"])),
        ("Kind", row["diagram_type"]),
        ("Key", f"{row['key_name']} ({state.mask(row['api_key'])})"),
        ("Created", _moment(row["created_at"])),
        ("Over", _moment(row["completed_at"])),
        *([("Error", tag("span", row["error"], class_="bad"))] if row["error"] else []),
    )
    figure: list[Html] = []
    if row["status"] == "completed":
        picture = tag("img", src=f"{at}/figure.png", alt=description or "", class_="figure")
        files = [tag("a", each.upper(), href=f"{at}/figure.{each}", download=True) for each in row["formats"]]
        figure = [picture, tag("p", "Files: ", *_between(files))] if row["formats"] else []
        figure.append(tag("p", description or ""))
    asked = tag("pre", json.dumps(row["input_params"], indent=2, ensure_ascii=False))
    content = [*told, facts, *figure, *_deliveries(world, row), tag("h2", "Asked for"), asked]
    return document(f"Task {row['task_id']}", root, content, refresh=REFRESH if refreshing else None)


def _deliveries(world: World, row: state.Row) -> list[Html]:
    """The webhook's tries, and when the next is due."""
    hook = row["webhook"]
    if hook is None:
        return [tag("h2", "Webhook"), tag("p", "None was asked for.")]
    tries = [
        (str(number), _moment(each["at"]), str(each["status"] or "none"), each["error"] or tag("span", "delivered"))
        for number, each in enumerate(hook["tries"], 1)
    ]
    due = next(
        (each["due"] for each in world.clock.pending
         if each["event"] == DELIVER and each["details"]["task_id"] == row["task_id"]),
        None,
    )  # fmt: skip
    facts = _facts(
        ("To", tag("code", hook["url"])),
        ("Status", _status(hook["status"] or "waiting")),
        *([("Next try", _moment(due))] if due is not None else []),
    )
    heads = ("Try", "At", "HTTP status", "Outcome")
    return [tag("h2", "Webhook"), facts, table("Tries", heads, tries, empty="Nothing was tried yet.")]


def _tasks(root: str, rows: list[state.Row], caption: str) -> Html:
    shown = [
        (
            tag("a", row["task_id"], href=f"{root}/adm/tasks/{row['task_id']}"),
            row["endpoint"],
            row["key_name"],
            _status(row["status"]),
            _status(row["webhook"]["status"] or "waiting") if row["webhook"] else "none",
            _moment(row["created_at"]),
        )
        for row in rows
    ]
    heads = ("Task", "Endpoint", "Key", "Status", "Webhook", "Created")
    return table(caption, heads, shown, empty="There is no task.")


def _key_row(root: str, key: str, row: state.Row) -> tuple[str, ...]:
    left, total = _number(row["quota_remaining"]), _number(row["quota_total"])
    return (
        tag("a", row["name"] or "without a name", href=f"{root}/adm/keys/{row['number']}"),
        tag("code", state.mask(key)),
        f"{left} of {total or 'unlimited'}" if left else "unlimited",
        str(row["total_used"]),
        _state(row),
        _moment(row["created_at"]),
        _actions(root, row),
    )


def _actions(root: str, row: state.Row) -> Html:
    at = f"{root}/adm/keys/{row['number']}"
    switch = ("disable", "Disable") if row["active"] else ("enable", "Enable")
    delete = tag("a", "Delete", tag("span", f" {row['name']}", class_="unseen"), href=f"{at}/delete", class_="bad")
    return tag("div", button(f"{at}/{switch[0]}", switch[1], about=row["name"]), delete, class_="actions")


def _facts(*pairs: tuple[str, str]) -> Html:
    return tag("dl", *(page([tag("dt", name), tag("dd", value)]) for name, value in pairs))


def _state(row: state.Row) -> Html:
    return tag("span", "active", class_="good") if row["active"] else tag("span", "disabled", class_="bad")


def _status(status: str) -> Html:
    good, bad = status in ("completed", "delivered"), status in ("failed", "retrying")
    return tag("span", status, class_="good" if good else "bad" if bad else None)


def _moment(seconds: float | None) -> str:
    told = state.iso(seconds)
    return tag("time", told[:19].replace("T", " "), datetime=told) if told else "not yet"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _between(pieces: list[Html]) -> list[str]:
    return [part for i, piece in enumerate(pieces) for part in ([", ", piece] if i else [piece])]
