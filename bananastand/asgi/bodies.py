"""Reads request bodies into memory: each with a size limit, and all bodies of a server together within one budget."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Self

__all__ = [
    "BodyBudget",
    "BodyReservation",
    "BodyTooLarge",
    "BudgetExceeded",
    "ClientDisconnected",
    "body_chunks",
    "read_body",
]

Receive = Callable[[], Awaitable[Any]]


class BodyTooLarge(Exception):
    """The body is longer than its limit.

    Attributes:
        limit: Bytes that are allowed.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is longer than {limit} bytes")
        self.limit = limit


class BudgetExceeded(Exception):
    """All bodies that are held in memory together would exceed the server's budget."""


class ClientDisconnected(Exception):
    """The client closed the connection before its whole body had arrived."""


class BodyBudget:
    """Bytes that all request bodies of one server may hold in memory together.

    A body that is alone may exceed the budget, so that its own size limit decides.

    Args:
        limit: The budget in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self.held = limit, 0

    def reserve(self) -> BodyReservation:
        """Return an empty reservation for one body; use it as a context manager."""
        return BodyReservation(self)

    def take(self, own: int, more: int) -> bool:
        """Count `more` bytes for a body that holds `own`; return whether the budget allows them."""
        if self.held + more > self._limit and self.held > own:
            return False
        self.held += more
        return True

    def free(self, size: int) -> None:
        """Give `size` bytes back."""
        self.held -= size


class BodyReservation:
    """What one body holds of a budget, until it is released.

    Attributes:
        size: Bytes that are held.
    """

    def __init__(self, budget: BodyBudget) -> None:
        self._budget, self.size = budget, 0

    def __enter__(self) -> Self:
        """Return the reservation."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release it."""
        self.release()

    def add(self, size: int) -> None:
        """Hold `size` bytes more. Raises BudgetExceeded."""
        if not self._budget.take(self.size, size):
            raise BudgetExceeded
        self.size += size

    def release(self) -> None:
        """Give all bytes back; the reservation is empty afterwards."""
        self._budget.free(self.size)
        self.size = 0


async def body_chunks(receive: Receive) -> AsyncGenerator[bytes]:
    """Yield the chunks of a request's body as they arrive. Raises ClientDisconnected."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def read_body(
    receive: Receive, limit: int, reservation: BodyReservation | None = None, *, drain: int = 0
) -> bytes:
    """Read a whole request body.

    Args:
        receive: ASGI's, of the request.
        limit: The largest allowed size in bytes.
        reservation: Counts the body against a server's budget as it arrives.
        drain: Bytes beyond the limit to read and discard before the error, so that the client reads the answer.

    Returns:
        The body.

    Raises:
        BodyTooLarge: The body is longer than `limit`.
        BudgetExceeded: The server's budget does not allow it.
        ClientDisconnected: The client left first.
    """
    chunks, size, more = list[bytes](), 0, True
    while more and size <= limit + drain:
        message = await receive()  # not body_chunks: a generator costs as much as the rest of a small body
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size <= limit:
            if reservation is not None:
                reservation.add(len(chunk))
            chunks.append(chunk)
    if size > limit:
        raise BodyTooLarge(limit)
    return b"".join(chunks)
