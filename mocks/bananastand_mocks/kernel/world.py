"""A world: one set of credentials and everything that happens under them. Knows no provider and no HTTP.

Nothing in one world is seen from another. Endpoints take time, ids and chance from their world and from nowhere else,
so that the same seed and the same calls give the same answers.
"""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Literal

from .background import BackgroundJob
from .clock import Clock
from .coverage import Coverage
from .errors import StateError
from .faults import Faults
from .ids import Ids
from .journal import BUDGET, Journal
from .limits import Limits
from .settings import refused
from .tasks import Tasks
from .world_schema import VERSION, check

__all__ = ["Event", "Kind", "World"]

Kind = Literal["development", "documents", "empty"]
Event = Callable[["World", dict[str, Any]], BackgroundJob | None]
Register = Callable[["World", str, str, bool], None]
Table = dict[str, Any]

log = logging.getLogger("bananastand_mocks")

BREACHES_KEPT = 100
SECRETS = 64  # of the newest are looked for in what is stored
SHORTEST = 6  # characters of a secret that is looked for


class World:
    """Store, clock, seed, faults, journal, limits and coverage of one set of credentials.

    `credentials` has secrets by kind; `tables` hold plain JSON by name and key, `blobs` bytes by name; `settings` are
    what a test may turn, named `provider.setting`. `breaches` are mistakes of ours: answers that did not fit their
    contract, and what was raised where nothing should be. `live` is for what cannot be exported, such as work that is
    under way; it ends with the world's present life. `issued` are the credentials that the world begins with.
    """

    def __init__(
        self,
        name: str,
        *,
        seed: int | None = None,
        virtual: bool = True,
        speed: float = 1.0,
        journal: int = BUDGET,
        events: Mapping[str, Event] | None = None,
    ) -> None:
        self.name = name
        self._journal_budget = journal
        self._events = events or {}
        self.kind: Kind = "development"
        self.credentials: dict[str, list[str]] = {}
        self.issued: dict[str, list[str]] = {}
        self.register: Register = _keep_to_itself
        self.begin(seed=seed, virtual=virtual, speed=speed)

    def begin(self, *, seed: int | None, virtual: bool, speed: float) -> None:
        """Start anew, empty but for the credentials."""
        self.seed = seed if seed is not None else int.from_bytes(os.urandom(6))
        self.random = Random(self.seed)
        self.ids = Ids(self.random)
        self.clock = Clock(self._deliver, virtual=virtual, speed=speed)
        self.faults = Faults(Random(self.seed + 1))
        self.journal = Journal(self._journal_budget)
        self.limits = Limits()
        self.tasks = Tasks()
        self.coverage = Coverage()
        self.settings: dict[str, Any] = {}
        self.tables: dict[str, Table] = {}
        self.blobs: dict[str, bytes] = {}
        self.live: dict[str, Any] = {}
        self.breaches: list[str] = []

    def breach(self, told: str) -> None:
        """Note a mistake of ours; the first of them, as one mistake may come with every call."""
        if len(self.breaches) < BREACHES_KEPT:
            self.breaches.append(told)

    def admit(self, kind: str, secret: str) -> None:
        """One more credential opens this world."""
        self.credentials.setdefault(kind, []).append(secret)
        self.register(self, kind, secret, True)

    def expel(self, kind: str, secret: str) -> None:
        """A credential is no longer valid."""
        self.credentials[kind].remove(secret)
        self.register(self, kind, secret, False)

    def secrets(self) -> list[str]:
        """The newest of its secrets, for taking them out of what is stored; too short ones are in every other word."""
        every = [secret for secrets in self.credentials.values() for secret in secrets[-SECRETS:]]
        return [secret for secret in every if len(secret) >= SHORTEST]

    def table(self, name: str) -> Table:
        """A table, by `provider.name`; empty at first. Rows must be JSON."""
        return self.tables.setdefault(name, {})

    def dump(self, *, blobs: bool = True) -> dict[str, Any]:
        """The whole world as JSON, but for its journal and coverage; on wish without its blobs."""
        version, internal, gauss = self.random.getstate()
        encoded = {name: base64.b64encode(blob).decode() for name, blob in self.blobs.items()} if blobs else {}
        return {
            "version": VERSION,
            "name": self.name,
            "kind": self.kind,
            "seed": self.seed,
            "random": [version, list(internal), gauss],
            "clock": self.clock.dump(),
            "faults": self.faults.dump(),
            "limits": self.limits.dump(),
            "tasks": self.tasks.dump(),
            "credentials": self.credentials,
            "issued": self.issued,
            "settings": self.settings,
            "tables": self.tables,
            "blobs": encoded,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Become the dumped world, credentials and all, but keep the name. Raises StateError and stays as it was."""
        check(state)
        if wrong := refused(self.settings, state["settings"]):
            raise StateError(f"settings.{wrong}")
        for each in state["clock"]["pending"]:
            if each["event"] not in self._events:
                raise StateError(f"clock.pending: there is no event {each['event'][:100]}")
        before = self.dump()
        try:
            self._load(state)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._load(before)
            raise StateError(f"not a world: {type(error).__name__}: {error}") from error
        self.live = {}

    def _load(self, state: Mapping[str, Any]) -> None:
        version, internal, gauss = state["random"]
        self.random.setstate((version, tuple(internal), gauss))
        self.kind, self.seed = state.get("kind", self.kind), int(state["seed"])
        self.clock.load(state["clock"])
        self.faults.load(state["faults"])
        self.limits.load(state["limits"])
        self.tasks.load(state["tasks"])
        self.credentials = {str(kind): list(secrets) for kind, secrets in state["credentials"].items()}
        self.issued = {str(kind): list(secrets) for kind, secrets in state.get("issued", self.credentials).items()}
        self.settings = dict(state["settings"])
        self.tables = {str(name): dict(rows) for name, rows in state["tables"].items()}
        self.blobs = {str(name): base64.b64decode(blob, validate=True) for name, blob in state["blobs"].items()}

    def _deliver(self, event: str, details: dict[str, Any]) -> BackgroundJob | None:
        """Have an event happen. One that fails is a mistake of ours, and not the answer of the call it fell due in."""
        try:
            return self._events[event](self, details)
        except Exception as error:
            log.exception("the event %s failed", event)
            self.breach(f"event {event}: {error!r}")
            return None


def _keep_to_itself(world: World, kind: str, secret: str, valid: bool) -> None:
    """A world outside a server is found by nobody."""
