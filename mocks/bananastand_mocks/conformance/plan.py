"""The plan of requests for each provider, read from `plans/*.yaml`.

A step calls one operation: `with` holds its parameters, `body` its JSON, `content` bytes as text. `"{name}"` is a value
that an earlier step stored under that name; a step whose value is missing is skipped. `key` is right (the default),
none, wrong or a stored one. `status` is by default the contract's success. `expect` has literal values by their place
in the response, `#` for a length and `{contains: text}` for part of a text; `until` has the same, and the request is
repeated until they are met. `keep` names the places of values to store. A run that only reads leaves out all methods
but GET.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from bananastand import banana_api

__all__ = ["FILES", "MISSING", "MissingValue", "PlanStep", "fill_in", "load_steps", "value_at"]

PACKAGE = Path(__file__).resolve().parents[1]
BANANA_API = Path(banana_api.__file__).parent
FILES = {
    "bananadev": BANANA_API / "bananadev.yaml",
    "falai": PACKAGE / "lowcodeapi" / "falai.yaml",
    "banana-native": BANANA_API / "banana.yaml",
    "fal-native": PACKAGE / "falai" / "openapi.yaml",
    "fal-queue": PACKAGE / "falqueue" / "openapi.yaml",
    "gobananas": PACKAGE / "gobananas" / "openapi.yaml",
    "paperbanana": PACKAGE / "paperbanana" / "openapi.yaml",
}
MISSING = object()  # where a response has nothing, and for a step without a body


class MissingValue(LookupError):
    """A step uses a value that no earlier step stored."""


@dataclass(frozen=True)
class PlanStep:
    """One request, and what is expected of its response. The attributes are described above."""

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


def load_steps(provider: str) -> list[PlanStep]:
    """Return the steps for a provider in their order."""
    rows = yaml.safe_load((Path(__file__).parent / "plans" / f"{provider}.yaml").read_text(encoding="utf-8"))
    return [PlanStep(**{"parameters" if key == "with" else key: value for key, value in row.items()}) for row in rows]


def fill_in(value: Any, stored: Mapping[str, Any]) -> Any:
    """Return a value with stored values in the places that name them. Raises MissingValue."""
    if isinstance(value, str) and value.startswith("{") and value.endswith("}") and value[1:-1].isidentifier():
        if value[1:-1] not in stored:
            raise MissingValue(value[1:-1])
        return stored[value[1:-1]]
    if isinstance(value, dict):
        return {key: fill_in(item, stored) for key, item in cast("dict[str, Any]", value).items()}
    return [fill_in(item, stored) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def value_at(body: Any, place: str) -> Any:
    """Return the value at a place such as `images.0.id`; MISSING where there is none."""
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
