"""Writes the settings of bananastand.toml that make a repository run, as a patch with reasons."""

from __future__ import annotations

import difflib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..building.overrides import FILE
from .differences import TEMPLATE_COMMANDS
from .findings import Inspection

__all__ = ["Fix", "fixes", "patch", "write"]


@dataclass(frozen=True, slots=True)
class Fix:
    """One setting of bananastand.toml: its table, its key, its value and the reason."""

    table: str
    key: str
    value: str | dict[str, str] | list[str]
    reason: str


def fixes(inspection: Inspection, folder: Path) -> list[Fix]:
    """Return the settings that mend findings: a missing command, deleted or moved weights, an old torch."""
    found = list[Fix]()
    if inspection.command is None:
        likely = next((command for name, command in TEMPLATE_COMMANDS.items() if (folder / name).is_file()), None)
        if likely is not None:
            found.append(Fix("app", "command", likely, "the Dockerfile has no CMD"))
    if inspection.health is not None and inspection.health not in ("/healthcheck", "/_k/status", "/readyz"):
        found.append(Fix("app", "health", inspection.health, "the app's own path that says whether it is ready"))
    for weight in inspection.weights:
        old = weight.state == "moved" and _is_old(inspection)
        if weight.successor and (weight.state == "gone" or old):
            reason = f"{weight.name} is gone from the hub" if weight.state == "gone" else f"{weight.name} has moved"
            found.append(Fix("build", "weights", {weight.name: weight.successor}, f"{reason}: {weight.reason}"))
    if inspection.torch is not None and inspection.torch.problem and "torch>=" in inspection.torch.problem:
        pin = inspection.torch.problem.partition('pins = ["')[2].partition('"')[0]
        found.append(Fix("build", "pins", [pin], inspection.torch.problem.partition(":")[0]))
    return found


def _is_old(inspection: Inspection) -> bool:
    """Whether the libraries are too old to follow the hub's redirects."""
    day = inspection.as_of.partition("as of ")[2][:10]
    return "2015" < day < "2022-10"


def patch(folder: Path, fixes_: list[Fix]) -> str:
    """Return the change of bananastand.toml as a unified diff; empty where nothing changes."""
    before, after = _before(folder), _after(folder, fixes_)
    old = "/dev/null" if not before else f"a/{FILE}"
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), old, f"b/{FILE}")
    return "".join(lines)


def write(folder: Path, fixes_: list[Fix]) -> None:
    """Write bananastand.toml with these settings; existing ones stay."""
    (folder / FILE).write_text(_after(folder, fixes_), encoding="utf-8")


def _before(folder: Path) -> str:
    try:
        return (folder / FILE).read_text(encoding="utf-8")
    except OSError:
        return ""


def _after(folder: Path, fixes_: list[Fix]) -> str:
    before = _before(folder)
    text, tables = before, tomllib.loads(before)
    for fix in fixes_:
        own: dict[str, Any] = tables.get(fix.table, {})
        present: Any = own.get(fix.key)
        value: Any = fix.value
        if isinstance(value, dict):
            value = {**value, **(present or {})}
        elif isinstance(value, list):
            value = [*(present or []), *(item for item in value if item not in (present or []))]
        elif present is not None:
            continue
        if value == present:
            continue
        text = _set(text, fix, value)
        tables = tomllib.loads(text)
    return text


def _set(text: str, fix: Fix, value: Any) -> str:
    """Return the text with one key of a table set; a mapping gets a table of its own."""
    if isinstance(fix.value, dict):
        return _set_table(text, f"{fix.table}.{fix.key}", fix, fix.value)
    lines, head = text.splitlines(), f"[{fix.table}]"
    line = f"{fix.key} = {json.dumps(value, ensure_ascii=False)}  # {fix.reason}"
    if head not in [existing_line.strip() for existing_line in lines]:
        return "\n".join([*lines, *([""] if lines else []), head, line, ""])
    at = next(number for number, existing_line in enumerate(lines) if existing_line.strip() == head) + 1
    others = [existing_line for existing_line in lines[at:] if not existing_line.startswith(f"{fix.key} =")]
    return "\n".join([*lines[:at], line, *others, ""])


def _set_table(text: str, name: str, fix: Fix, values: dict[str, str]) -> str:
    rows = [f"{json.dumps(key)} = {json.dumps(value)}  # {fix.reason}" for key, value in values.items()]
    lines, head = text.splitlines(), f"[{name}]"
    if head in [existing_line.strip() for existing_line in lines]:
        at = next(number for number, existing_line in enumerate(lines) if existing_line.strip() == head) + 1
        return "\n".join([*lines[:at], *rows, *lines[at:], ""])
    existing = tomllib.loads(text).get(fix.table, {}).get(fix.key)
    if existing:  # written inline: rewritten as a table with what it had
        lines = [
            existing_line for existing_line in lines if not existing_line.replace(" ", "").startswith(f"{fix.key}={{")
        ]
        rows = [*(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in existing.items()), *rows]
    return "\n".join([*lines, *([""] if lines else []), head, *rows, ""])
