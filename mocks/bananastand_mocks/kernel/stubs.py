"""The stubs of a world, and which of them answers a request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .journal import Journal

if TYPE_CHECKING:
    from .stub import IncomingRequest, Stub, StubSpec
    from .stub_response import StubResponse

__all__ = ["Stubs"]

MAX_STUBS = 1000


class Stubs:
    """The stubs of one world. Of those that a request fits, the newest that is not over answers.

    Args:
        journal: The journal of the world.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._stubs: tuple[Stub, ...] = ()  # newest first; replaced, never changed, because two threads use it
        self._count = 0

    def __len__(self) -> int:
        return len(self._stubs)

    def __iter__(self) -> Iterator[Stub]:
        return iter(self._stubs)

    def add(self, spec: StubSpec) -> Stub:
        """Set a stub. Raises ValueError where there are too many."""
        if len(self._stubs) >= MAX_STUBS:
            raise ValueError(f"there are {MAX_STUBS} stubs; remove some first")
        from .stub import Stub  # imported for the first stub: its checks would slow down every start

        self._count += 1
        stub = Stub(self._count, spec, self)
        self._stubs = (stub, *self._stubs)
        return stub

    def named(self, id: int) -> Stub | None:
        """Return the stub with this number, or None."""
        return next((stub for stub in self._stubs if stub.id == id), None)

    def remove(self, id: int) -> None:
        """Remove the stub with this number, if there is one."""
        self._stubs = tuple(stub for stub in self._stubs if stub.id != id)

    def clear(self) -> None:
        """Remove all stubs."""
        self._stubs = ()

    def unused(self) -> list[Stub]:
        """Return the stubs that answered no call."""
        return [stub for stub in self._stubs if not stub.called]

    def assert_all_called(self) -> None:
        """Raise AssertionError where a stub answered no call; the text says what came nearest."""
        for stub in self.unused():
            stub.assert_called()

    def take(self, request: IncomingRequest) -> tuple[Stub, StubResponse] | None:
        """Return the stub that answers a request, with its response; None where none does."""
        for stub in self._stubs:
            if not stub.is_over and stub.fits(request):
                return stub, stub.take()
        return None

    def dump(self) -> list[dict[str, Any]]:
        """Return the stubs as JSON, newest first."""
        return [stub.dump() for stub in self._stubs]

    def load(self, state: list[dict[str, Any]]) -> None:
        """Take over dumped stubs. Raises ValueError if they are no dump of stubs."""
        if not state:
            self._stubs, self._count = (), 0
            return
        from .stub import Stub, StubSpec

        stubs: list[Stub] = []
        for row in state:
            spec = StubSpec.model_validate({name: row[name] for name in ("request", "responses", "times")})
            stub = Stub(int(row["id"]), spec, self)
            stub.call_count = int(row["call_count"])
            stubs.append(stub)
        self._stubs, self._count = tuple(stubs), max((stub.id for stub in stubs), default=0)
