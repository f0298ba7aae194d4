"""What is asked of an implementation, step by step: reads `plans/*.yaml`. Knows no HTTP.

A step calls one operation: `with` holds its parameters, `body` its JSON, `content` bytes as text. `"{name}"` is what an
earlier step kept under that name; a step that names something nobody kept is skipped. `key` is right (the default),
none, wrong or one that was kept. `status` is else the contract's success. `expect` has literal values by their place in
the answer, `#` for a length and `{contains: text}` for part of a text; `until` the same, waited for. `keep` names
places. What is no GET is left out of a run that only reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

__all__ = ["FILES", "MISSING", "NotKept", "Step", "at", "filled", "steps"]

PACKAGE = Path(__file__).resolve().parents[1]
FILES = {
    "bananadev": PACKAGE / "lowcodeapi" / "bananadev.yaml",
    "falai": PACKAGE / "lowcodeapi" / "falai.yaml",
    "banana-native": PACKAGE / "bananadev" / "openapi.yaml",
    "fal-native": PACKAGE / "falai" / "openapi.yaml",
    "gobananas": PACKAGE / "gobananas" / "openapi.yaml",
    "paperbanana": PACKAGE / "paperbanana" / "openapi.yaml",
}
MISSING = object()  # where an answer has nothing, and for a step without a body


class NotKept(LookupError):
    """A step names what no step before it kept."""


@dataclass(frozen=True)
class Step:
    """One call with what is expected of its answer."""

    call: str
    name: str = "its success"
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    body: Any = MISSING
    content: str | None = None
    key: str = "right"
    status: int | None = None
    expect: Mapping[str, Any] = field(default_factory=dict[str, Any])
    until: Mapping[str, Any] = field(default_factory=dict[str, Any])
    keep: Mapping[str, str] = field(default_factory=dict[str, str])


def steps(provider: str) -> list[Step]:
    """The plan for a provider, in its order."""
    rows = yaml.safe_load((Path(__file__).parent / "plans" / f"{provider}.yaml").read_text(encoding="utf-8"))
    return [Step(**{"parameters" if key == "with" else key: value for key, value in row.items()}) for row in rows]


def filled(value: Any, kept: Mapping[str, Any]) -> Any:
    """A value with what was kept in the places that name it. Raises NotKept."""
    if isinstance(value, str) and value.startswith("{") and value.endswith("}") and value[1:-1].isidentifier():
        if value[1:-1] not in kept:
            raise NotKept(value[1:-1])
        return kept[value[1:-1]]
    if isinstance(value, dict):
        return {key: filled(each, kept) for key, each in cast("dict[str, Any]", value).items()}
    return [filled(each, kept) for each in cast("list[Any]", value)] if isinstance(value, list) else value


def at(body: Any, place: str) -> Any:
    """What stands at a place such as `images.0.id`; MISSING where nothing does."""
    for part in place.split("."):
        if part == "#" and isinstance(body, list):
            body = len(cast("list[Any]", body))
        elif isinstance(body, dict) and part in body:
            body = cast("dict[str, Any]", body)[part]
        elif isinstance(body, list) and part.isdigit() and int(part) < len(cast("list[Any]", body)):
            body = cast("list[Any]", body)[int(part)]
        else:
            return MISSING
    return body
