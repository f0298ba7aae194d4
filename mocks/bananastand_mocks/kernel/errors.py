"""Mistakes of the mocks themselves.

ContractBreach         an answer of the mock does not fit its own contract
StateError             a world that cannot be imported, or a state file that is not one
"""

from __future__ import annotations

__all__ = ["ContractBreach", "StateError"]


class ContractBreach(AssertionError):
    """The mock answered something that its own contract does not allow: a mistake of ours, never of the caller."""


class StateError(ValueError):
    """What was to be imported is not a world."""
