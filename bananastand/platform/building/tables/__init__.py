"""Tables of what is known of packages, programs and messages, as TOML files beside this module."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

__all__ = ["join_pattern", "read_table"]


def read_table(name: str) -> dict[str, Any]:
    """Return the content of NAME.toml, read on each call."""
    return tomllib.loads(resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def join_pattern(value: str | list[str]) -> str:
    """Return the regular expression of a table: a text, or a list of alternatives."""
    return value if isinstance(value, str) else "|".join(value)
