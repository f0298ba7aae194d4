"""The session that makes a front the active one, on a thread of its own.

It holds an advisory lock, which ends with the session: the server ends one whose front has been silent for
SILENT_SECONDS, or whose machine is gone. Whoever gets the lock next increments the number of the active front, and ends
the connections of all earlier ones, so that nothing of theirs is written any more. Their new connections are refused,
because these compare the number. The same session listens for notifications.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, text

from .errors import FAILURES

__all__ = ["Session", "check_number"]

log = logging.getLogger("bananastand.platform")

FRONT = "front"  # the fact that has the number of the active front
LOCK = 1650553454  # the first key of the advisory lock; the second one is the schema's
SESSION_NAME = "bananastand session"
SILENT_SECONDS = 3
POLL_SECONDS = 0.2
RETRY_SECONDS = 0.3
HOLD_OFF_SECONDS = 2.0  # after a lost connection in which a front that stands by lets the active one come back first
GIVE_UP_SECONDS = 10.0  # for the connections of earlier fronts to end
PREPARE = (
    f"SET application_name = '{SESSION_NAME}'",
    f"SET idle_session_timeout = '{SILENT_SECONDS}s'",
    "SET tcp_keepalives_idle = 2",
    "SET tcp_keepalives_interval = 1",
    "SET tcp_keepalives_count = 2",
    f"SET tcp_user_timeout = '{SILENT_SECONDS}s'",
)
TRY_LOCK = f"SELECT pg_try_advisory_lock({LOCK}, hashtext(current_schema()))"
NEXT_NUMBER = (
    f"INSERT INTO facts (name, value) VALUES ('{FRONT}', '1') "
    "ON CONFLICT (name) DO UPDATE SET value = (facts.value::bigint + 1)::text RETURNING value"
)
NUMBER = f"SELECT value FROM facts WHERE name = '{FRONT}'"
OTHERS = "datname = current_database() AND usename = current_user AND application_name LIKE :fronts"
END_OTHERS = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OTHERS} AND application_name != :own"
COUNT_OTHERS = f"SELECT count(*) FROM pg_stat_activity WHERE {OTHERS} AND application_name != :own"


class Session:
    """Holds the lock, and hears notifications.

    Args:
        engine: Makes connections.
        fronts: The beginning of the names under which the fronts of this platform connect.
        own: The name of this front's own connections.

    Attributes:
        number: The number of this front, once it is active.
        is_lost: Whether another front has become active since.
        on_lost: Called on the session's thread when another front has become active.
    """

    def __init__(self, engine: Engine, fronts: str, own: str) -> None:
        self._engine, self._names = engine, {"fronts": f"{fronts}%", "own": own}
        self.number: int | None = None
        self.is_lost = False
        self.on_lost: Callable[[], None] = lambda: None
        self._callbacks: dict[str, Callable[[str], None]] = {}
        self._loops: dict[str, asyncio.AbstractEventLoop] = {}
        self._wants_lock = self._has_lock = self._is_closing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._listening = set[str]()
        self._not_before = 0.0  # on the monotonic clock

    def try_lock(self, seconds: float) -> bool:
        """Become the active front; return False if another one is active for that long. Blocks."""
        self._wants_lock = True
        self._start()
        with self._changed:
            self._changed.wait_for(lambda: self._has_lock or self._is_closing, seconds)
            if not self._has_lock:
                self._wants_lock = False
        return self._has_lock

    async def lock(self) -> None:
        """Wait until this is the active front."""
        self._wants_lock = True
        self._start()
        while not self._has_lock and not self._is_closing:
            await asyncio.sleep(POLL_SECONDS / 4)

    def listen(self, channel: str, callback: Callable[[str], None]) -> None:
        """Have `callback` called on this event loop with the payload of every notification of a channel.

        Notifications are lost while the server cannot be reached; `callback` gets "" after a new connection.
        """
        if not channel.isidentifier():
            raise ValueError(f"{channel} is no name of a channel")
        self._callbacks[channel], self._loops[channel] = callback, asyncio.get_running_loop()
        self._start()

    def close(self) -> None:
        """Give up the lock and end the thread."""
        self._is_closing = True
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="database session", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._is_closing:
            try:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    self._serve(connection)
            except FAILURES as error:
                log.warning("the database session ended: %s", str(error).partition("\n")[0])
                time.sleep(RETRY_SECONDS)
                self._not_before = time.monotonic() + HOLD_OFF_SECONDS
        with self._changed:
            self._changed.notify_all()

    def _serve(self, connection: Connection) -> None:
        """Serve one connection, until it fails."""
        for statement in PREPARE:
            connection.execute(text(statement))
        is_locked, self._listening = False, set()
        while not self._is_closing:
            may_try = self.number is not None or time.monotonic() >= self._not_before
            if self._wants_lock and not is_locked and may_try:
                is_locked = self._take(connection)
            else:
                connection.execute(text("SELECT 1"))  # the server hears from this front
            for channel in self._callbacks.keys() - self._listening:
                connection.execute(text(f"LISTEN {channel}"))
                self._listening.add(channel)
                self._deliver(channel, "")
            driver: Any = connection.connection.driver_connection
            for message in driver.notifies(timeout=POLL_SECONDS, stop_after=100):
                self._deliver(message.channel, message.payload)

    def _take(self, connection: Connection) -> bool:
        """Take the lock, or take it again after the connection was lost; return whether this session has it."""
        if self.number is not None and str(connection.scalar(text(NUMBER))) != str(self.number):
            self._lose()
            return False
        if not connection.scalar(text(TRY_LOCK)):
            return False
        if self.number is None:
            self.number = int(connection.scalar(text(NEXT_NUMBER)) or 0)
            self._end_others(connection)
        with self._changed:
            self._has_lock = True
            self._changed.notify_all()
        return True

    def _end_others(self, connection: Connection) -> None:
        deadline = time.monotonic() + GIVE_UP_SECONDS
        connection.execute(text(END_OTHERS), self._names)
        while connection.scalar(text(COUNT_OTHERS), self._names) and time.monotonic() < deadline:
            time.sleep(0.02)
            connection.execute(text(END_OTHERS), self._names)

    def _lose(self) -> None:
        self._wants_lock, self._has_lock, self.is_lost = False, False, True
        log.error("another front has taken over this database")
        self.on_lost()

    def _deliver(self, channel: str, payload: str) -> None:
        try:
            self._loops[channel].call_soon_threadsafe(self._callbacks[channel], payload)
        except RuntimeError:  # the loop is closed
            self._callbacks.pop(channel, None)


def check_number(driver: Any, number: int) -> bool:
    """Return whether a new connection belongs to the active front."""
    cursor = driver.cursor()
    try:
        cursor.execute(NUMBER)
        row = cursor.fetchone()
    finally:
        cursor.close()
        driver.rollback()
    return row is not None and str(row[0]) == str(number)
