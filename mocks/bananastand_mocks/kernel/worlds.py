"""All worlds of one server, and who belongs to which. Knows providers only as a sequence of them."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from bananastand.asgi.bodies import BodyBudget

from .errors import StateError
from .ids import Ids
from .journal import BUDGET
from .world import Event, Kind, World
from .world_schema import check

if TYPE_CHECKING:
    from .provider import Provider

__all__ = ["DEFAULT", "OTHER", "Kind", "Worlds"]

DEFAULT, OTHER = "default", "other"


class Worlds:
    """The worlds, found by name or by the credential a call carries.

    A world of the development, documents or empty kind is filled by each provider. The default world has the
    well-known credentials, every other one its own. Where a provider has a well-known credential for a second tenant,
    the world `other` is there from the start to hold it.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        kind: Kind = "development",
        seed: int | None = None,
        virtual: bool = False,
        speed: float = 1.0,
        journal: int = BUDGET,
        keys: Mapping[str, str] | None = None,
        lookup: Callable[[str, str], bool] | None = None,
        body_memory: int = 256 * 2**20,
    ) -> None:
        self.providers, self._lookup = providers, lookup
        self.bodies = BodyBudget(body_memory)  # of all requests that are not answered
        self._events: dict[str, Event] = {
            name: each for provider in providers for name, each in provider.events.items()
        }
        self._by_name: dict[str, World] = {}
        self._by_secret: dict[bytes, World] = {}
        self._journal = journal
        self.keep: Callable[[World], None] | None = None  # set where worlds are written to a file
        self.forget: Callable[[World], None] | None = None
        known = [each for provider in providers for each in provider.credentials]
        well_known = {each.kind: [each.well_known] if lookup is None else [] for each in known}
        own = {name: [key] for name, key in (keys or {}).items()}
        self.default = self._build(DEFAULT, kind, seed, virtual, speed, {**well_known, **own})
        others = {each.kind: [each.other] for provider in providers for each in provider.credentials if each.other}
        if others and not own and lookup is None:
            self._build(OTHER, kind, seed, virtual, speed, {**self._minted(), **others})

    def create(
        self, name: str = "", *, kind: Kind = "development", seed: int | None = None, virtual: bool = True,
        speed: float = 1.0,
    ) -> World:  # fmt: skip
        """A new world with credentials of its own. Raises ValueError where the name is taken."""
        if name in self._by_name:
            raise ValueError(f"there is a world {name} already")
        drawn = Ids(Random())
        return self._build(name or f"w{drawn.hex(12)}", kind, seed, virtual, speed, self._minted())

    def named(self, name: str) -> World | None:
        """The world of that name."""
        return self._by_name.get(name)

    def holding(self, kind: str, secret: str) -> World | None:
        """The world in which the secret is valid. Secrets are compared by digest, so that time tells nothing.

        Where keys are kept elsewhere, `lookup` knows them, and they open the default world.
        """
        if self._lookup is not None and self._lookup(kind, secret):
            return self.default
        return self._by_secret.get(_digest(kind, secret))

    def reset(self, world: World, *, kind: Kind | None = None, seed: int | None = None) -> None:
        """The world as it was made, with the credentials it was made with, and its journal and coverage empty."""
        clock = world.clock
        self._forget(world)
        world.begin(seed=world.seed if seed is None else seed, virtual=clock.virtual, speed=clock.speed)
        world.kind = kind or world.kind
        world.credentials = copy.deepcopy(world.issued)
        self._fill(world)
        self._remember(world)

    def restore(self, world: World, state: Mapping[str, Any]) -> None:
        """Import a dumped world over this one. Raises StateError, also where another world holds its credentials.

        What was dumped where fewer providers are served begins anew for the others, with the keys they have here.
        """
        check(state)
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
        """A world ends. The default one cannot; raises ValueError."""
        if world is self.default:
            raise ValueError("the default world stays")
        self._forget(world)
        del self._by_name[world.name]
        if self.forget is not None:
            self.forget(world)

    def turn(self) -> None:
        """Run what is due where time runs by itself, and keep what that changed."""
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
        self._by_name[name] = world
        self._fill(world)
        self._remember(world)
        return world

    def _fill(self, world: World) -> None:
        for provider in self.providers:
            provider.fill(world, world.kind)
        world.settings = copy.deepcopy(world.settings)  # lists among them are the providers' own

    def _complete(self, world: World, issued: Mapping[str, list[str]]) -> None:
        for provider in self.providers:
            missing = [each.kind for each in provider.credentials if each.kind not in world.issued]
            for kind in missing:
                world.issued[kind] = list(issued[kind])
                world.credentials.setdefault(kind, list(issued[kind]))
            if missing:
                provider.fill(world, world.kind)

    def _minted(self) -> dict[str, list[str]]:
        """Credentials of every kind that nobody has yet."""
        ids = Ids(Random())
        return {each.kind: [each.mint(ids)] for provider in self.providers for each in provider.credentials}

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
