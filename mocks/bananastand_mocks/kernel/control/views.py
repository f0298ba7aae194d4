"""The control plane's pages as HTML: each function collects what its template shows and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import urlencode

from ..faults import FaultKind
from ..journal_entry import JournalEntry
from ..pages import render
from ..stub_checks import contract_differences
from ..world import World
from .context import ControlContext
from .forms import Form

__all__ = ["call_page", "index_page", "journal_page", "world_page"]

LATEST, PAGE_SIZE, MOST_EVENTS = 8, 50, 20
LONGEST_ANSWER = 20_000  # characters of a response on its page


def index_page(context: ControlContext, *, error: str = "") -> bytes:
    """What is served, with which keys, and all worlds."""
    return render(
        "index.html",
        title="Overview",
        error=error,
        providers=context.providers,
        credentials=context.worlds.default.credentials,
        worlds=list(context.worlds),
    )


def world_page(
    context: ControlContext, world: World, *, error: str = "", form_name: str = "", form: Form | None = None
) -> bytes:
    """One world with its forms; `form` is the one that was refused, and is shown again."""
    coverage: dict[str, list[dict[str, Any]]] = {}
    for row in world.coverage.report({provider.name: provider.contract for provider in context.providers}):
        coverage.setdefault(row["provider"], []).append(row)
    return render(
        "world.html",
        title=f"World {world.name}",
        error=error,
        world=world,
        pending=world.clock.pending[:MOST_EVENTS],
        stubs=[
            (stub, contract_differences(stub, context.providers), [] if stub.called else stub.near_misses())
            for stub in world.stubs
        ],
        faults=world.faults.dump(),
        fault_kinds=get_args(FaultKind),
        limits=world.limits.dump()["rules"],
        latest=list(world.journal)[: -LATEST - 1 : -1],
        coverage=coverage,
        form_name=form_name,
        form=_FormValues(form or {}),
        **_names(context),
    )


def journal_page(context: ControlContext, world: World, filters: Mapping[str, Any], page: int) -> bytes:
    """A page of the calls, newest first; where none matches, those that came nearest.

    Args:
        context: What is served.
        world: The world of the calls.
        filters: What they must match, as in `Journal.find`.
        page: The page's number, from 1.
    """
    found = world.journal.find(**filters)[::-1]
    pages = [("Newer", page - 1)] if page > 1 else []
    pages += [("Older", page + 1)] if page * PAGE_SIZE < len(found) else []
    return render(
        "journal.html",
        title=f"Journal of {world.name}",
        world=world,
        search=_FormValues(filters),
        entries=found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE],
        total=len(found),
        nearest=[] if found else world.journal.verify(at_least=1, **filters).near_misses,
        pages=[(text, f"?{urlencode({**filters, 'page': number})}") for text, number in pages],
        **_names(context),
    )


def call_page(world: World, entry: JournalEntry) -> bytes:
    """One call with its response."""
    numbers = [other.number for other in world.journal]
    neighbours = [("Earlier call", entry.number - 1), ("Later call", entry.number + 1)]
    answer = _readable(entry.answer)
    return render(
        "call.html",
        title=f"{entry.method} {entry.path}",
        world=world,
        entry=entry,
        answer=answer if len(answer) <= LONGEST_ANSWER else f"{answer[:LONGEST_ANSWER]}...",
        neighbours=[(text, number) for text, number in neighbours if number in numbers],
    )


def _readable(answer: bytes) -> str:
    """The response indented where it is JSON."""
    text = answer.decode("utf-8", "replace")
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def _names(context: ControlContext) -> dict[str, list[str]]:
    operations = {name for provider in context.providers for name in provider.contract.by_id}
    return {"providers": [provider.name for provider in context.providers], "operations": sorted(operations)}


class _FormValues(dict[str, Any]):
    """What was typed into a form; a field that was left empty is empty text."""

    def __missing__(self, name: str) -> str:
        return ""
