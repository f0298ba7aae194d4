"""Decides which projects get replicas where there is not room for all.

Free GPUs go to the project with the fewest replicas. Where none is free, a project without a replica comes first: an
idle replica of the project that was served longest ago gives way, then one of several, and after TURN_SECONDS also the
only one of a project that is busy all the time. The work grows with what is decided, and not with all projects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

from .demand import Decision, Demand, ReplicaState
from .ranking import Ranking

__all__ = ["GpuSharing", "Room", "Suits"]

TURN_SECONDS = 10.0  # that a project without a replica waits before a busy one gives way

Room = Callable[[str], int | None]
Suits = Callable[[str, str], bool]


@dataclass(slots=True)
class _Entry:
    """A project as it was placed.

    Attributes:
        missing: How many more replicas it should have.
        active: How many start or are ready.
        leaving: The ids of those that drain or stop.
        staying: Its active replicas that are not to be drained.
        granted: How many more it gets.
    """

    demand: Demand
    missing: int
    active: int
    leaving: set[str]
    staying: list[ReplicaState]
    granted: int = 0


class _Hungry:
    """The projects with equal needs that miss replicas.

    Attributes:
        all: The fewest replicas first, then the longest wait.
        empty: Those that have none and whose calls wait: the longest wait first.
    """

    def __init__(self) -> None:
        self.all, self.empty = Ranking(), Ranking()


class GpuSharing:
    """The projects, ranked by what they miss and by what they can give."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._leaving = set[str]()
        self._hungry: dict[str, _Hungry] = {}  # by their needs
        self._idle = Ranking()  # projects with an idle replica that may go: served longest ago first
        self._several = Ranking()  # projects with several replicas: the most first
        self._ready = Ranking()  # projects with a ready replica that may go: served longest ago first

    def place(self, demand: Demand, active: list[ReplicaState], missing: int, stops: Collection[str]) -> None:
        """Take in a project as it is now.

        Args:
            demand: The project.
            active: Its replicas that start or are ready.
            missing: How many more replicas it should have.
            stops: Its replicas that are to be drained in any case.
        """
        if (before := self._entries.get(demand.project)) is not None:
            self._leaving -= before.leaving
            if before.demand.needs != demand.needs:
                self._rank_needs(before, missing=0)
        staying = [replica for replica in active if replica.id not in stops] if stops else active
        leaving = {replica.id for replica in demand.replicas if replica.state in ("draining", "stopping")}
        entry = self._entries[demand.project] = _Entry(demand, missing, len(active), leaving, staying)
        self._leaving |= leaving
        self._rank_needs(entry, missing)
        self._rank_gifts(entry)

    def remove(self, project: str) -> None:
        """Forget a project."""
        if (entry := self._entries.pop(project, None)) is not None:
            self._leaving -= entry.leaving
            self._rank_needs(entry, missing=0)
            for ranking in (self._idle, self._several, self._ready):
                ranking.place(project)

    def share(self, now: float, room: Room, suits: Suits, decision: Decision) -> None:
        """Add to a decision who gets a replica, and which replicas give way."""
        rooms = {needs: room(needs) for needs in self._hungry or ("",)}
        while (project := self._next_hungry(rooms)) is not None:
            entry = self._entries[project]
            decision.starts.append(project)
            entry.granted += 1
            self._rank_needs(entry, entry.missing - entry.granted)
            if (left := rooms[entry.demand.needs]) is not None:
                rooms[entry.demand.needs] = left - 1
        for needs, hungry in self._hungry.items():
            if hungry.empty and rooms[needs] is not None:
                self._make_room(needs, hungry.empty, now, suits, decision)
        least = min((count for count in rooms.values() if count is not None), default=0)
        self._spread(-least - len(self._leaving) - len(decision.stops), decision)

    def _next_hungry(self, rooms: dict[str, int | None]) -> str | None:
        """Return the project that gets the next replica; None if there is no room, or none is missing."""
        keys = [
            key
            for needs, hungry in self._hungry.items()
            if (key := hungry.all.lowest) is not None and ((left := rooms[needs]) is None or left > 0)
        ]
        return min(keys)[-1] if keys else None

    def _make_room(self, needs: str, empty: Ranking, now: float, suits: Suits, decision: Decision) -> None:
        """For each project without a replica, drain one of another project, unless one is leaving already."""
        position = sum(suits(replica, needs) for replica in (*self._leaving, *decision.stops))
        while position < len(empty):
            waited = now - empty.at(position)[0]
            victim = self._victim(needs, suits, turn_is_over=waited >= TURN_SECONDS)
            if victim is None:
                break
            self._stop(victim, "gives way to a project that has none", decision)
            position += 1
        position = max(position, empty.count_while(lambda oldest: now - oldest >= TURN_SECONDS))
        if position < len(empty):
            decision.wake_at(now + TURN_SECONDS - (now - empty.at(position)[0]))

    def _spread(self, excess: int, decision: Decision) -> None:
        """Drain idle replicas where two share a GPU, as a version that is being tried does."""
        for _ in range(excess):
            victim = self._victim("", lambda replica, needs: True, turn_is_over=False)
            if victim is None or victim[1].inflight:
                return
            self._stop(victim, "gives way: its GPU is shared", decision)

    def _victim(self, needs: str, suits: Suits, *, turn_is_over: bool) -> tuple[_Entry, ReplicaState] | None:
        """Return the replica that should give way: an idle one, one of several, or a busy one once its turn is over."""
        for ranking in (self._idle, self._several, self._ready if turn_is_over else ()):
            for project in ranking:
                entry = self._entries[project]
                replicas = [replica for replica in entry.staying if suits(replica.id, needs)]
                if ranking is self._several:
                    victim = min(replicas, key=lambda replica: replica.inflight, default=None)
                else:
                    victim = _first_ready(replicas, is_idle=ranking is self._idle)
                if victim is not None:
                    return entry, victim
        return None

    def _stop(self, victim: tuple[_Entry, ReplicaState], reason: str, decision: Decision) -> None:
        entry, replica = victim
        decision.stops[replica.id] = reason
        entry.staying = [other for other in entry.staying if other is not replica]
        self._rank_gifts(entry)

    def _rank_needs(self, entry: _Entry, missing: int) -> None:
        """Rank a project by how many replicas it still misses."""
        demand = entry.demand
        hungry = self._hungry.get(demand.needs)
        if hungry is None:
            if not missing:
                return
            hungry = self._hungry[demand.needs] = _Hungry()
        oldest = demand.oldest if demand.oldest is not None else math.inf
        hungry.all.place(demand.project, *((entry.active + entry.granted, oldest) if missing else ()))
        is_empty = missing and not entry.active and demand.waiting
        hungry.empty.place(demand.project, *((oldest,) if is_empty else ()))
        if not hungry.all:
            del self._hungry[demand.needs]

    def _rank_gifts(self, entry: _Entry) -> None:
        """Rank a project by what it can give."""
        demand, staying = entry.demand, len(entry.staying)
        can_go = staying > demand.minimum
        gives_idle = can_go and not demand.waiting and _first_ready(entry.staying, is_idle=True) is not None
        self._idle.place(demand.project, *((demand.last_served,) if gives_idle else ()))
        gives_one = staying > max(demand.minimum, 1)
        self._several.place(demand.project, *((-entry.active, demand.last_served) if gives_one else ()))
        gives_busy = can_go and _first_ready(entry.staying, is_idle=False) is not None
        self._ready.place(demand.project, *((demand.last_served,) if gives_busy else ()))


def _first_ready(replicas: Collection[ReplicaState], *, is_idle: bool) -> ReplicaState | None:
    """Return the first replica that serves, or serves without a call in it."""
    return next((one for one in replicas if one.state == "ready" and not (is_idle and one.inflight)), None)
