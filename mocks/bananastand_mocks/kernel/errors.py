"""Errors of the mocks themselves.

ContractBreach         a mock's response does not fit its own contract
StateError             a world that cannot be imported, or a state file that is not one
"""

from __future__ import annotations

__all__ = ["ContractBreach", "StateError"]


class ContractBreach(AssertionError):
    """A mock's response does not fit its own contract: a defect of the mock, never of its caller."""


class StateError(ValueError):
    """What was to be imported is not a world."""
