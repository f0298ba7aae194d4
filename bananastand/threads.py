"""How the threads of torch, numpy and other OpenMP programs wait for each other.

By default they spin at the barrier after every parallel section. That is fastest on an idle machine; under load a
spinning thread keeps the one it waits for off the processor, and a step takes many times as long
(docs/performance.md). Replicas share their machine: unless the user has chosen, their threads spin for microseconds and
then sleep.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["wait_policy"]

CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # of any OpenMP, of GNU's, of Intel's


def wait_policy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to add to a program's environment before it starts; none if it has one of CHOICES.

    >>> wait_policy({}), wait_policy({"GOMP_SPINCOUNT": "1000"})
    ({'GOMP_SPINCOUNT': '600', 'KMP_BLOCKTIME': '0'}, {})
    """
    return {} if any(name in environment for name in CHOICES) else {"GOMP_SPINCOUNT": "600", "KMP_BLOCKTIME": "0"}
