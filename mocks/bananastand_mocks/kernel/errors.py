"""What can go wrong in a mock, in words no provider uses. Knows no status code's text and no error envelope.

ProviderError          raised by an endpoint or by the kernel; the provider's dialect renders its Problem
ContractBreach         an answer of the mock does not fit its own contract
ContractError          a contract file that cannot be served
StateError             a world that cannot be imported, or a state file that is not one
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ContractBreach", "ContractError", "Problem", "ProviderError", "StateError", "Violation"]

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a request does not fit its contract.

    `where` is body, query, path or header; `field` the dotted path to the value ("" for the whole), and `rule` the
    keyword of JSON Schema that it breaks, such as required, type or minimum.
    """

    where: str
    field: str
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a call is refused. The conditions of the kernel itself are listed in `service`; a provider adds its own."""

    condition: str
    message: str = ""
    violations: Sequence[Violation] = ()
    status: int | None = None
    details: Json = field(default_factory=dict[str, Any])


class ProviderError(Exception):
    """Refuses the call at hand; the dialect turns the problem into the provider's own status and body."""

    def __init__(self, condition: str, message: str = "", *, status: int | None = None, **details: Any) -> None:
        super().__init__(f"{condition}: {message}" if message else condition)
        self.problem = Problem(condition, message, status=status, details=details)


class ContractBreach(AssertionError):
    """The mock answered something that its own contract does not allow: a mistake of ours, never of the caller."""


class ContractError(ValueError):
    """The contract file itself is not sound; the text names the operation."""


class StateError(ValueError):
    """What was to be imported is not a world."""
