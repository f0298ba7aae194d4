"""The errors of an API that is described by a contract, in words no provider uses.

ProviderError          raised by an operation or by a check; the provider renders its Problem as a response
ContractError          a contract file that cannot be served
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ContractError", "Problem", "ProviderError", "Violation"]

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
    """Why a call is refused.

    `condition` names the reason: `unknown_route`, `violation`, `rate_limited`, or a provider's own. `status` replaces
    the status that the provider gives to the condition.
    """

    condition: str
    message: str = ""
    violations: Sequence[Violation] = ()
    status: int | None = None
    details: Json = field(default_factory=dict[str, Any])


class ProviderError(Exception):
    """Refuses a call; the provider renders the problem with its own status and body."""

    def __init__(self, condition: str, message: str = "", *, status: int | None = None, **details: Any) -> None:
        super().__init__(f"{condition}: {message}" if message else condition)
        self.problem = Problem(condition, message, status=status, details=details)


class ContractError(ValueError):
    """The contract file itself is not sound; the text names the operation."""
