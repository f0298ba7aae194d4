"""What a check found. Knows no HTTP."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Difference", "Outcome", "normal"]

LONGEST = 160  # characters of a value that is shown

# What differs between two runs that found the same. The order counts: a uuid holds hexadecimal digits.
ALIKE = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "<date>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I), "<uuid>"),
    (re.compile(r"https?://[^/\s\"']+"), "<host>"),
    (re.compile(r"(?<!\w)1[5-9]\d{8}(\d{3})?(?!\w)"), "<unix time>"),
    (re.compile(r"(?<![0-9a-z])(?=[0-9a-f]*\d)[0-9a-f]{12,}(?![0-9a-z])", re.I), "<id>"),
)


@dataclass(frozen=True)
class Difference:
    """One place where an answer and the contract part: what the contract has there, and what was answered."""

    where: str
    contract: str
    answer: str


@dataclass(frozen=True)
class Outcome:
    """One check: a request, and what of its answer is not as the contract has it. `reason` is why it was skipped."""

    operation: str
    title: str
    request: str
    status: int | None = None
    differences: tuple[Difference, ...] = ()
    reason: str | None = None

    @property
    def result(self) -> Literal["passed", "failed", "skipped"]:
        if self.reason is not None:
            return "skipped"
        return "failed" if self.differences else "passed"


def normal(value: Any) -> str:
    """A value of JSON as text, short, with ids and times by their kind alone."""
    text = " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())
    for pattern, kind in ALIKE:
        text = pattern.sub(kind, text)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
