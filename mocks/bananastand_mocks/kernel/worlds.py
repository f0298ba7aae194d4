"""All worlds of one server, and which credential opens which."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Protocol

from bananastand.asgi.bodies import BodyBudget

from .credentials import Credential
from .errors import StateError
from .exchange import Exchange
from .ids import Ids
from .journal import BUDGET
from .world import EventHandler, Kind, World
from .world_schema import check_world

__all__ = ["DEFAULT", "OTHER", "Kind", "WorldFiller", "Worlds"]

DEFAULT, OTHER = "default", "other"
BODY_MEMORY = 256 * 2**20  # bytes that the bodies of all unanswered requests may hold together


class WorldFiller(Protocol):
    """What worlds use of a provider."""

    @property
    def credentials(self) -> Sequence[Credential]:
        """The kinds of secret that it takes."""
        ...

    @property
    def events(self) -> Mapping[str, EventHandler]:
        """What happens when an event falls due, by the event's name."""
        ...

    def fill(self, world: World, kind: Kind) -> None:
        """Put into a new world what a world of that kind holds."""


class Worlds:
    """The worlds, found by name or by the credential of a call.

    The default world has the well-known credentials, every other one its own. Where a provider has a well-known
    credential for a second tenant, the world `other` exists from the start and holds it.

    Args:
        providers: What fills each world.
        kind: What the default world holds.
        seed: Of the default world; drawn where it is None.
        virtual: Whether the clock of the default world moves only when a test moves it.
        speed: How many times faster than real time its real clock runs.
        journal: Bytes that each world's journal may hold.
        keys: Secrets that replace the well-known ones, by kind.
    """

    def __init__(
        self,
        providers: Sequence[WorldFiller],
        *,
        kind: Kind = "development",
        seed: int | None = None,
        virtual: bool = False,
        speed: float = 1.0,
        journal: int = BUDGET,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        self._providers = providers
        self.bodies = BodyBudget(BODY_MEMORY)
        self.exchanges = dict[str, Exchange]()  # of every world, unless it gets its own
        self._events: dict[str, EventHandler] = {
            name: handler for provider in providers for name, handler in provider.events.items()
        }
        self._by_name: dict[str, World] = {}
        self._by_secret: dict[bytes, World] = {}
        self._journal = journal
        self.keep: Callable[[World], None] | None = None  # writes a world to the state file, where there is one
        self.forget: Callable[[World], None] | None = None
        credentials = [credential for provider in providers for credential in provider.credentials]
        well_known = {known.kind: [known.well_known] for known in credentials}
        own = {name: [key] for name, key in (keys or {}).items()}
        self.default = self._build(DEFAULT, kind, seed, virtual, speed, {**well_known, **own})
        others = {credential.kind: [credential.other] for credential in credentials if credential.other}
        if others and not own:
            self._build(OTHER, kind, seed, virtual, speed, {**self._minted(), **others})

    def create(
        self,
        name: str = "",
        *,
        kind: Kind = "development",
        seed: int | None = None,
        virtual: bool = True,
        speed: float = 1.0,
    ) -> World:
        """Make a world with credentials of its own. Raises ValueError where the name is taken."""
        if name in self._by_name:
            raise ValueError(f"there is a world {name} already")
        name = name or f"w{Ids(Random()).hex(12)}"
        return self._build(name, kind, seed, virtual, speed, self._minted())

    def named(self, name: str) -> World | None:
        """Return the world of that name, or None if there is none."""
        return self._by_name.get(name)

    def holding(self, kind: str, secret: str) -> World | None:
        """Return the world in which the secret is valid, or None.

        Secrets are compared by digest, so that the time of a comparison reveals nothing.
        """
        return self._by_secret.get(_digest(kind, secret))

    def reset(self, world: World, *, kind: Kind | None = None, seed: int | None = None) -> None:
        """Start a world anew, with the credentials that it began with and an empty journal and coverage."""
        clock = world.clock
        self._forget(world)
        world.begin(seed=world.seed if seed is None else seed, virtual=clock.virtual, speed=clock.speed)
        world.clock.step = clock.step
        world.kind = kind or world.kind
        world.credentials = copy.deepcopy(world.issued)
        self._fill(world)
        self._remember(world)

    def restore(self, world: World, state: Mapping[str, Any]) -> None:
        """Replace a world by an exported one.

        If the export comes from a server of fewer providers, the others begin anew with the keys that they have here.

        Raises:
            StateError: The state is no world, or another world holds one of its credentials.
        """
        check_world(state)
        for kind, secrets in state["credentials"].items():
            for secret in secrets:
                holder = self.holding(kind, secret)
                if holder is not None and holder is not world:
                    raise StateError(f"credentials.{kind}: the world {holder.name} holds one of them")
        issued = world.issued
        self._forget(world)
        try:
            world.load(state)
            self._complete(world, issued)
        finally:
            self._remember(world)

    def remove(self, world: World) -> None:
        """End a world. Raises ValueError for the default one."""
        if world is self.default:
            raise ValueError("the default world stays")
        self._forget(world)
        del self._by_name[world.name]
        if self.forget is not None:
            self.forget(world)

    def turn(self) -> None:
        """Run what is due in the worlds in real time, and save what that changed."""
        for world in self:
            if not world.clock.virtual and world.clock.run_due() and self.keep is not None:
                self.keep(world)

    def __iter__(self) -> Iterator[World]:
        return iter(list(self._by_name.values()))

    def _build(
        self, name: str, kind: Kind, seed: int | None, virtual: bool, speed: float, credentials: dict[str, list[str]]
    ) -> World:
        world = World(name, seed=seed, virtual=virtual, speed=speed, journal=self._journal, events=self._events)
        world.kind = kind
        world.issued, world.credentials = credentials, copy.deepcopy(credentials)
        world.register = self._register
        world.exchanges = self.exchanges
        self._by_name[name] = world
        self._fill(world)
        self._remember(world)
        return world

    def _fill(self, world: World) -> None:
        for provider in self._providers:
            provider.fill(world, world.kind)
        world.settings = copy.deepcopy(world.settings)  # lists among them are the providers' own

    def _complete(self, world: World, issued: Mapping[str, list[str]]) -> None:
        for provider in self._providers:
            missing = [known.kind for known in provider.credentials if known.kind not in world.issued]
            for kind in missing:
                world.issued[kind] = list(issued[kind])
                world.credentials.setdefault(kind, list(issued[kind]))
            if missing:
                provider.fill(world, world.kind)

    def _minted(self) -> dict[str, list[str]]:
        """Make a new secret of each kind."""
        ids = Ids(Random())
        return {known.kind: [known.mint(ids)] for provider in self._providers for known in provider.credentials}

    def _register(self, world: World, kind: str, secret: str, valid: bool) -> None:
        if valid:
            self._by_secret[_digest(kind, secret)] = world
        else:
            self._by_secret.pop(_digest(kind, secret), None)

    def _remember(self, world: World) -> None:
        for kind, secrets in world.credentials.items():
            for secret in secrets:
                self._register(world, kind, secret, True)

    def _forget(self, world: World) -> None:
        for kind, secrets in world.credentials.items():
            for secret in secrets:
                self._register(world, kind, secret, False)


def _digest(kind: str, secret: str) -> bytes:
    return hashlib.sha256(f"{kind} {secret}".encode("utf-8", "surrogatepass")).digest()
