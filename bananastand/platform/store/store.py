"""What the platform needs of its database, whichever it is.

The rows of projects, builds, keys and repositories are few: they are read and changed at once, by `reading` and
`transaction`, and whoever acknowledges a change awaits `flush`. The rows of calls are many: they are read and written
by the coroutines. Work is a function of a SQLAlchemy connection, and it is the same for all databases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy import Connection

__all__ = ["Store"]

T = TypeVar("T")


class Store(ABC):
    """An open database.

    Attributes:
        id: The identity of the platform.
        team: The id of Banana's one team.
    """

    id: str
    team: str

    @abstractmethod
    def transaction(self, *, durable: bool = True) -> AbstractContextManager[Connection]:
        """Run the block as one transaction over all rows but those of calls, which is in effect when the block ends.

        An event loop does not wait here: whoever acknowledges the transaction awaits `flush` first.

        Args:
            durable: Whether it survives a power cut, without an event loop at once.

        Raises:
            StoreFull: The disk is full; nothing is written.
            StoreError: Nothing is written.
            Refused: A text cannot be stored.
        """

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """Read all rows but those of calls, without a wait. Raises StoreError."""

    @property
    @abstractmethod
    def is_flushed(self) -> bool:
        """Whether no transaction waits to be written."""

    @abstractmethod
    async def flush(self) -> None:
        """Wait until all transactions are on the disk. Raises StoreError where it is not known whether they are."""

    @abstractmethod
    async def read(self, work: Callable[[Connection], T]) -> T:
        """Read with `work`, which may look at the rows of calls too. Raises StoreError."""

    @abstractmethod
    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, and wait until it survives a power cut.

        Raises:
            StoreFull: The disk is full; nothing is written.
            StoreError: Nothing is written, or the connection was lost and it is not known.
        """

    @abstractmethod
    async def write_short(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run `work`, which takes well below a millisecond, in a transaction.

        Args:
            work: Called with the connection, perhaps on another thread.
            durable: Whether to wait until it survives a power cut.

        Raises:
            StoreFull: The disk is full; nothing is written.
            StoreError: It is not known whether it is written.
        """

    @abstractmethod
    def write_now(self, work: Callable[[Connection], T]) -> tuple[bool, Any]:
        """Run `work` in a transaction at once, which a power cut may undo.

        Returns:
            Whether it is committed, and what `work` has returned; (False, None) where that would mean a wait.

        Raises:
            StoreFull, StoreError: Nothing is written.
        """

    @abstractmethod
    async def sync(self) -> None:
        """Wait until all that is committed survives a power cut. Raises StoreError."""

    @abstractmethod
    def execute(self, connection: Connection, statement: str, row: Mapping[str, Any]) -> int:
        """Execute one statement of SQL by the shortest way, and return how many rows it has changed.

        Args:
            connection: From one of the methods for writing.
            statement: Its parameters are written as `:name`.
            row: The parameters.
        """

    @abstractmethod
    def insert(self, connection: Connection, statement: str, row: Mapping[str, Any]) -> int:
        """Execute an INSERT as `execute` does, and return the number of the new row."""

    @abstractmethod
    async def finish(self) -> None:
        """Write what waits, and leave the event loop. `close` must follow. Raises StoreError."""

    @abstractmethod
    def close(self) -> None:
        """Close the database. Nothing may be read or written afterwards."""
