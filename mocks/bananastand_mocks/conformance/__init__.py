"""Checks any implementation of a provider against its contract, over HTTP: a mock, ours or another's, or the service.

>>> from bananastand_mocks.conformance import conform
>>> for outcome in conform("paperbanana", "http://127.0.0.1:8750/paperbanana", key="pb_..."):
...     print(outcome.title, outcome.result)

The requests come from `plans/` and from the contracts.
"""

from __future__ import annotations

from .outcome import CheckOutcome, ContractDifference
from .recorded import conform_cassette
from .run import ServiceUnreachable, conform

__all__ = ["CheckOutcome", "ContractDifference", "ServiceUnreachable", "conform", "conform_cassette"]
