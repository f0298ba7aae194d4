"""Counts which operations, parameters and statuses the calls of a world exercised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bananastand.contracts.contract import Contract

__all__ = ["Coverage"]


class Coverage:
    """What was called since the last reset, by provider and operation."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], dict[int, int]] = {}
        self._parameters: dict[tuple[str, str], set[str]] = {}

    def record(self, provider: str, operation: str, status: int, parameters: Iterable[str]) -> None:
        """Count one call; `parameters` are those of the contract that it set."""
        key = (provider, operation)
        if key not in self._calls:
            self._calls[key], self._parameters[key] = {}, set()
        statuses = self._calls[key]
        statuses[status] = statuses.get(status, 0) + 1
        self._parameters[key].update(parameters)

    def reset(self) -> None:
        """Count anew."""
        self._calls.clear()
        self._parameters.clear()

    def report(self, contracts: Mapping[str, Contract]) -> list[dict[str, Any]]:
        """Return a row for each operation of the contracts: parameters and statuses that were seen or are missing."""
        return [
            self._row(provider, operation)
            for provider, contract in contracts.items()
            for operation in contract.by_id.values()
        ]

    def _row(self, provider: str, operation: Any) -> dict[str, Any]:
        statuses = self._calls.get((provider, operation.id), {})
        seen = self._parameters.get((provider, operation.id), set[str]())
        return {
            "provider": provider,
            "operation": operation.id,
            "calls": sum(statuses.values()),
            "statuses": {str(status): count for status, count in sorted(statuses.items())},
            "missing_statuses": sorted(set(operation.statuses) - {str(status) for status in statuses}),
            "parameters": sorted(seen),
            "missing_parameters": sorted(operation.parameters - seen),
        }
