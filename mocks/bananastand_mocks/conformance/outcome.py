"""The outcome of one check."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["CheckOutcome", "ContractDifference", "normalize"]

MAX_LENGTH = 160  # characters of a value in a report

# What differs between two runs with the same result. The order counts: a uuid holds hexadecimal digits.
VARIABLE_PARTS = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "<date>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I), "<uuid>"),
    (re.compile(r"https?://[^/\s\"']+"), "<host>"),
    (re.compile(r"(?<!\w)1[5-9]\d{8}(\d{3})?(?!\w)"), "<unix time>"),
    (re.compile(r"(?<![0-9a-z])(?=[0-9a-f]*\d)[0-9a-f]{12,}(?![0-9a-z])", re.I), "<id>"),
)


@dataclass(frozen=True)
class ContractDifference:
    """One place where a response differs from the contract.

    Attributes:
        where: The place, such as status or body.images.0.id.
        contract: What the contract has there.
        answer: What the response has there.
    """

    where: str
    contract: str
    answer: str


@dataclass(frozen=True)
class CheckOutcome:
    """One check.

    Attributes:
        operation: The operationId.
        title: What is checked.
        request: Method and path template.
        status: The status of the response; None without one.
        differences: Where the response differs from the contract.
        reason: Why the check was skipped; None where it was not.
    """

    operation: str
    title: str
    request: str
    status: int | None = None
    differences: tuple[ContractDifference, ...] = ()
    reason: str | None = None

    @property
    def result(self) -> Literal["passed", "failed", "skipped"]:
        """The result in one word."""
        if self.reason is not None:
            return "skipped"
        return "failed" if self.differences else "passed"


def normalize(value: Any) -> str:
    """Return a JSON value as short text in which ids and times are replaced by their kind."""
    text = " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())
    for pattern, kind in VARIABLE_PARTS:
        text = pattern.sub(kind, text)
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 3] + "..."
