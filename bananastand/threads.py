"""How the threads of torch, numpy and other OpenMP programs wait for each other.

By default they spin at the barrier after each parallel part. That wins where the processors are idle; beside other work
the spinning thread keeps the one it waits for off the processor, and a step takes many times as long
(docs/performance.md). Replicas share their machine: where nobody has chosen, theirs spin for microseconds and then
sleep.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["wait_policy"]

CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # any OpenMP, GNU's, Intel's


def wait_policy(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to add to an environment, before the program that reads them starts; none where it has a choice.

    >>> wait_policy({}), wait_policy({"GOMP_SPINCOUNT": "1000"})
    ({'GOMP_SPINCOUNT': '600', 'KMP_BLOCKTIME': '0'}, {})
    """
    return {} if any(name in environment for name in CHOICES) else {"GOMP_SPINCOUNT": "600", "KMP_BLOCKTIME": "0"}
