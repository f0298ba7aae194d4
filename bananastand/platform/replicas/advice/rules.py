"""Reads the rules of the advice from rules.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import details
from .details import Details, Evidence

__all__ = ["RULES", "AdviceRule"]


@dataclass(frozen=True, slots=True)
class AdviceRule:
    """One rule.

    Attributes:
        pattern: A regular expression of what is printed.
        why: A sentence: what went wrong.
        fix: Sentences: what to do.
        details: Returns more names for the texts; None where the rule does not apply.
    """

    pattern: str
    why: str
    fix: str
    details: Callable[[re.Match[str], Evidence], Details | None]


def _rule(row: dict[str, Any]) -> AdviceRule:
    pattern = row["pattern"] if isinstance(row["pattern"], str) else "|".join(row["pattern"])
    return AdviceRule(pattern, row["why"], row["fix"], getattr(details, row.get("details", "no_details")))


RULES = tuple(map(_rule, tomllib.loads(Path(__file__).with_name("rules.toml").read_text(encoding="utf-8"))["rule"]))
