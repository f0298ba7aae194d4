"""A front: it runs the platform while it is active, and stops it when another front has taken over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Literal, Protocol

from ..errors import Conflict, PlatformError, StoreError
from ..store.postgresql.store import PostgresStore
from .membership import Leader, Membership

__all__ = ["ActivePlatform", "Front", "Role"]

log = logging.getLogger("bananastand.platform")

RETRY_SECONDS = 1.0  # after a start that failed
Application = Callable[[Any, Any, Any], Awaitable[None]]
Role = Literal["active", "starting", "standby"]


class ActivePlatform(Protocol):
    """A platform that runs, with its application."""

    app: Application

    def release_waiters(self) -> None:
        """End the wait of all callers."""
        ...

    async def finish(self) -> None:
        """End all work, with a row for every call that goes on; `close` must follow."""
        ...

    async def close(self, grace: float | None) -> None:
        """Stop everything. `grace`: seconds that replicas have to stop; None for the setting."""
        ...


class Front:
    """One of several fronts.

    Args:
        membership: This front among the others.
        open_store: Opens the database, without its lock.
        start: Starts the platform on a database that has its lock; the platform closes it.

    Attributes:
        membership: This front among the others.
        app: The application of the platform while this front is active; None while it stands by.
        failed: Done with the error after which this front cannot go on.
        predecessor: The front that was active before this one; None if there was none.
    """

    def __init__(
        self,
        membership: Membership,
        open_store: Callable[[], PostgresStore],
        start: Callable[[PostgresStore], Awaitable[ActivePlatform]],
    ) -> None:
        self.membership, self._open_store, self._start = membership, open_store, start
        self.app: Application | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.predecessor: Leader | None = None
        self._platform: ActivePlatform | None = None
        self._store: PostgresStore | None = None  # that has the lock
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def role(self) -> Role:
        """What this front does."""
        if self.app is not None:
            return "active"
        return "standby" if self._store is None else "starting"

    @property
    def leader(self) -> Leader | None:
        """The front to forward to; None while no other one is active and ready."""
        leader = self.membership.leader
        return leader if leader is not None and leader.ready and leader.front != self.membership.own.id else None

    def begin(self) -> None:
        """Begin to watch, and to take over."""
        self._tasks = [
            asyncio.create_task(self.membership.run(), name="front membership"),
            asyncio.create_task(self._run(), name="front"),
        ]

    def release_waiters(self) -> None:
        """End the wait of all callers, because this front is about to stop; `close` must follow."""
        self.app = None
        if self._platform is not None:
            self._platform.release_waiters()

    async def close(self) -> None:
        """Stop. Another front takes over once this one's calls are back in the queue, while its replicas stop."""
        self.app = None
        for task in self._tasks[1:]:
            task.cancel()
            await asyncio.wait({task})
        if (platform := self._platform) is not None and (store := self._store) is not None:
            await platform.finish()
            with suppress(StoreError):
                await self.membership.lead(store.session.number or 0, ready=False)
            await asyncio.to_thread(store.session.close)
            await platform.close(None)
        for task in self._tasks[:1]:
            task.cancel()
            await asyncio.wait({task})
        await self.membership.close()

    async def _run(self) -> None:
        while True:
            try:
                await self._be_active()
            except (StoreError, OSError) as error:
                log.warning("this front cannot be active: %s", error)
            except Exception as error:
                if not isinstance(error, PlatformError):
                    log.exception("this front cannot go on")
                if not self.failed.done():
                    self.failed.set_exception(error)
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _be_active(self) -> None:
        """Wait until this front is the active one, and run the platform until it is not any longer."""
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[None] = loop.create_future()
        store = await asyncio.to_thread(self._open_store)

        def on_lost() -> None:  # on the session's thread
            loop.call_soon_threadsafe(_set, lost)

        store.session.on_lost = on_lost
        try:
            await store.hold_lock()
        except BaseException:
            await asyncio.to_thread(store.close)
            raise
        self._store, self.predecessor = store, self.membership.leader
        try:
            await self._activate(store)
            await lost
        except Exception:
            await self._stand_by()
            raise
        await self._stand_by()

    async def _activate(self, store: PostgresStore) -> None:
        epoch = store.session.number or 0
        await self.membership.lead(epoch, ready=False)
        self._platform = await self._start(store)
        self.app = self._platform.app
        await self.membership.lead(epoch, ready=True)

    async def _stand_by(self) -> None:
        """Stop the platform: the database refuses what it still writes."""
        store, platform = self._store, self._platform
        self.app = self._store = self._platform = None
        self.membership.announce()
        if platform is not None:
            platform.release_waiters()
            with suppress(StoreError, Conflict):
                await platform.finish()
            await platform.close(0.0)
        elif store is not None:
            await asyncio.to_thread(store.close)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
