"""Counts how much of each GPU of a machine is taken, and chooses GPUs for a replica."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..nodes import Resources

__all__ = ["GpuShares"]

ROUNDING = 1e-6


class GpuShares:
    """The GPUs of one machine.

    Args:
        gpus: Their numbers, as CUDA_VISIBLE_DEVICES has them.
        memory_gb: The memory of each, in GiB, where it is known.
    """

    def __init__(self, gpus: Sequence[str], memory_gb: Mapping[str, float]) -> None:
        self._memory_gb = memory_gb
        self._used = dict.fromkeys(gpus, 0.0)
        self._taken: dict[str, tuple[tuple[str, ...], float]] = {}  # by replica

    def __len__(self) -> int:
        return len(self._used)

    @property
    def free(self) -> float:
        """How many GPUs are free, in parts where replicas share one."""
        return sum(max(0.0, 1 - used) for used in self._used.values())

    def requested(self, resources: Resources) -> float:
        """Return how many GPUs a replica takes: one by default, where there are any."""
        return float(bool(self._used)) if resources.gpus is None else resources.gpus

    def suitable(self, resources: Resources) -> list[str]:
        """Return the GPUs that have the memory that a replica needs, taken or not."""
        least = resources.gpu_memory_gb
        if least is None:
            return list(self._used)
        return [gpu for gpu in self._used if self._memory_gb.get(gpu, 0.0) + ROUNDING >= least]

    def room_for(self, resources: Resources) -> int | None:
        """Return how many further replicas there is room for, as `Nodes.room_for` does."""
        share = self.requested(resources)
        if share == 0:
            return None
        if (excess := sum(self._used.values()) - len(self._used)) > ROUNDING:
            return -math.ceil(excess - ROUNDING)
        free = [1 - self._used[gpu] + ROUNDING for gpu in self.suitable(resources)]
        if share >= 1:
            return sum(part >= 1 for part in free) // int(share)
        return sum(int(part / share) for part in free if part > 0)

    def take(self, replica: str, resources: Resources, *, may_share: bool) -> bool:
        """Take GPUs for a replica; returns False where there are none.

        Args:
            replica: The replica's id.
            resources: What it needs.
            may_share: Whether it may share GPUs that are taken.
        """
        share = self.requested(resources)
        count, part = (int(share), 1.0) if share >= 1 else (int(share > 0), share)
        suitable = self.suitable(resources)
        fitting = [gpu for gpu in suitable if self._used[gpu] + part <= 1 + ROUNDING]
        if part < 1:  # what is in use already is filled up first
            fitting.sort(key=lambda gpu: -self._used[gpu])
        if len(fitting) < count and may_share:
            fitting = sorted(suitable, key=lambda gpu: self._used[gpu])
        if len(fitting) < count:
            return False
        chosen = tuple(fitting[:count])
        for gpu in chosen:
            self._used[gpu] += part
        self._taken[replica] = (chosen, part)
        return True

    def of(self, replica: str) -> tuple[str, ...]:
        """Return the GPUs that a replica has taken."""
        return self._taken[replica][0]

    def release(self, replica: str) -> None:
        """Free a replica's GPUs, if it has some."""
        chosen, part = self._taken.pop(replica, ((), 0.0))
        for gpu in chosen:
            self._used[gpu] = max(0.0, self._used[gpu] - part)
