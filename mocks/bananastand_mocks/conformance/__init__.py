"""Holds any implementation of a provider to its contract, over HTTP: a mock, ours or another's, or the live service.

>>> from bananastand_mocks.conformance import conform
>>> for outcome in conform("paperbanana", "http://127.0.0.1:8750/paperbanana", key="pb_..."):
...     print(outcome.title, outcome.result)

Knows the contracts and what is asked of whom (`plans/`); knows no implementation, and nothing of the mocks' worlds.
"""

from __future__ import annotations

from .outcome import Difference, Outcome
from .run import Unreachable, conform

__all__ = ["Difference", "Outcome", "Unreachable", "conform"]
