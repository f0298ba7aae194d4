"""A world: one set of credentials and everything that happens under them.

Nothing in one world is seen from another. Endpoints take time, ids and randomness from their world alone, so that the
same seed and the same calls give the same responses.
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
from .exchange import Exchange
from .faults import Faults
from .ids import Ids
from .journal import BUDGET, Journal
from .limits import RateLimits
from .settings import setting_problem
from .stubs import Stubs
from .tasks import Tasks
from .world_schema import VERSION, check_world

__all__ = ["EventHandler", "Kind", "World"]

Kind = Literal["development", "documents", "empty"]
EventHandler = Callable[["World", dict[str, Any]], BackgroundJob | None]
Register = Callable[["World", str, str, bool], None]
Table = dict[str, Any]

log = logging.getLogger("bananastand_mocks")

MAX_BREACHES = 100
NEWEST_SECRETS = 64  # of each kind are looked for in what the journal stores
SHORTEST_SECRET = 6  # characters; shorter ones are part of ordinary words


class World:
    """Store, clock, seed, faults, stubs, journal, limits and coverage of one set of credentials.

    Args:
        name: Its name in the control plane.
        seed: Of its ids and its randomness; drawn where it is None.
        virtual: Whether its clock moves only when a test moves it.
        speed: How many times faster than real time its real clock runs.
        journal: Bytes that its journal may hold.
        events: The handlers of due events by name.

    Attributes:
        credentials: The valid secrets by kind.
        issued: The secrets that the world began with, by kind.
        tables: Plain JSON by table name and key.
        blobs: Bytes by name.
        settings: What a test may change, named `provider.setting`.
        breaches: Defects of the mocks: responses that did not fit their contract, and unexpected exceptions.
        exchanges: What answers in place of a provider's functions, by the provider's name.
        live: What cannot be exported, such as work under way; it ends with a reset or an import.
        auto_advance: Whether clients may advance a virtual clock instead of sleeping; see `clock_header`.
    """

    def __init__(
        self,
        name: str,
        *,
        seed: int | None = None,
        virtual: bool = True,
        speed: float = 1.0,
        journal: int = BUDGET,
        events: Mapping[str, EventHandler] | None = None,
    ) -> None:
        self.name = name
        self._journal_budget = journal
        self._events = events or {}
        self.auto_advance = False
        self.kind: Kind = "development"
        self.credentials: dict[str, list[str]] = {}
        self.issued: dict[str, list[str]] = {}
        self.register: Register = _register_nowhere
        self.exchanges: Mapping[str, Exchange] = {}
        self.begin(seed=seed, virtual=virtual, speed=speed)

    def begin(self, *, seed: int | None, virtual: bool, speed: float) -> None:
        """Start anew with empty tables; the credentials stay."""
        self.seed = seed if seed is not None else int.from_bytes(os.urandom(6))
        self.random = Random(self.seed)
        self.ids = Ids(self.random)
        self.clock = Clock(self._deliver, virtual=virtual, speed=speed)
        self.faults = Faults(Random(self.seed + 1))
        self.journal = Journal(self._journal_budget)
        self.stubs = Stubs(self.journal)
        self.limits = RateLimits()
        self.tasks = Tasks()
        self.coverage = Coverage()
        self.settings: dict[str, Any] = {}
        self.tables: dict[str, Table] = {}
        self.blobs: dict[str, bytes] = {}
        self.live: dict[str, Any] = {}
        self.breaches: list[str] = []

    def note_breach(self, message: str) -> None:
        """Note a defect of the mocks. Only the first ones are stored, because every call may repeat one."""
        if len(self.breaches) < MAX_BREACHES:
            self.breaches.append(message)

    def clock_header(self) -> str | None:
        """Return what responses tell of a virtual clock: the time, the world, and whether waiting helps.

        Waiting helps where a client may advance the clock (header X-Stand-Advance), where every call moves it, or where
        work ends by polls.
        """
        if not self.clock.virtual:
            return None
        helps = self.auto_advance or self.clock.step > 0 or self.tasks.mode == "after_polls"
        return f"{self.clock.now():.3f} {self.name} {'moves' if helps else 'stopped'}"

    def admit(self, kind: str, secret: str) -> None:
        """Make a secret open this world."""
        self.credentials.setdefault(kind, []).append(secret)
        self.register(self, kind, secret, True)

    def expel(self, kind: str, secret: str) -> None:
        """Revoke a secret."""
        self.credentials[kind].remove(secret)
        self.register(self, kind, secret, False)

    def secrets(self) -> list[str]:
        """Return the newest secrets that are long enough to be taken out of stored texts."""
        newest = [secret for secrets in self.credentials.values() for secret in secrets[-NEWEST_SECRETS:]]
        return [secret for secret in newest if len(secret) >= SHORTEST_SECRET]

    def table(self, name: str) -> Table:
        """Return the table named `provider.name`; it is empty at first. Its rows must be JSON."""
        return self.tables.setdefault(name, {})

    def dump(self, *, blobs: bool = True) -> dict[str, Any]:
        """Return the world as JSON, without journal and coverage, and without its blobs unless `blobs`."""
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
            "stubs": self.stubs.dump(),
            "limits": self.limits.dump(),
            "tasks": self.tasks.dump(),
            "credentials": self.credentials,
            "issued": self.issued,
            "settings": self.settings,
            "tables": self.tables,
            "blobs": encoded,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Become the dumped world with its credentials, under this world's name.

        Raises:
            StateError: The state is no world of this server; this world is unchanged.
        """
        check_world(state)
        if problem := setting_problem(self.settings, state["settings"]):
            raise StateError(f"settings.{problem}")
        for pending in state["clock"]["pending"]:
            if pending["event"] not in self._events:
                raise StateError(f"clock.pending: there is no event {pending['event'][:100]}")
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
        self.stubs.load(state.get("stubs", []))
        self.limits.load(state["limits"])
        self.tasks.load(state["tasks"])
        self.credentials = {str(kind): list(secrets) for kind, secrets in state["credentials"].items()}
        self.issued = {str(kind): list(secrets) for kind, secrets in state.get("issued", self.credentials).items()}
        self.settings = dict(state["settings"])
        self.tables = {str(name): dict(rows) for name, rows in state["tables"].items()}
        self.blobs = {str(name): base64.b64decode(blob, validate=True) for name, blob in state["blobs"].items()}

    def _deliver(self, event: str, details: dict[str, Any]) -> BackgroundJob | None:
        """Let an event happen. One that fails is a breach, and does not fail the call in which it fell due."""
        try:
            return self._events[event](self, details)
        except Exception as error:
            log.exception("the event %s failed", event)
            self.note_breach(f"event {event}: {error!r}")
            return None


def _register_nowhere(world: World, kind: str, secret: str, valid: bool) -> None:
    """Leave a world outside of a server without an index of its secrets."""
