"""Turns PostgreSQL's errors into the platform's."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, TimeoutError

from ...errors import StoreError, StoreFull

__all__ = ["FAILURES", "as_store_error", "is_temporary"]

FAILURES = (DBAPIError, TimeoutError, OSError)  # what a statement can raise, beside errors of the work itself
FULL = ("53100", "53200")  # disk_full, out_of_memory
TOO_MANY = "53300"
STOPPING = ("57P01", "57P02", "57P03")  # admin_shutdown, crash_shutdown, cannot_connect_now
CANCELED = "57014"
READ_ONLY = "25006"  # a standby of the server, after a fail-over of its own
MISTAKES = ("22", "23", "42")  # classes: data, integrity, syntax or access


def as_store_error(error: Exception, server: str) -> StoreError:
    """Return what a failed statement means to the platform.

    Args:
        error: One of FAILURES.
        server: The server's name for people to read, without a password.
    """
    code = _code(error)
    if code in FULL:
        return StoreFull(f"the disk of the database {server} is full: free some space, nothing new is taken until then")
    if isinstance(error, TimeoutError):
        return StoreError(f"the database {server} is busy: all connections are in use, try again")
    if code == TOO_MANY:
        return StoreError(f"the database {server} has no connection left: raise its max_connections, or try again")
    if code == CANCELED:
        return StoreError(f"the database {server} was too slow: the statement was cancelled, try again")
    if code == READ_ONLY:
        return StoreError(f"the database {server} accepts no writes: name the primary server")
    if code in STOPPING or code is None:
        return StoreError(f"the database {server} does not answer: {_first_line(error)}")
    return StoreError(f"the database {server} failed: {_first_line(error)}")


def is_temporary(error: Exception) -> bool:
    """Return whether the same statements may succeed later."""
    return (_code(error) or "")[:2] not in MISTAKES


def _code(error: Exception) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _first_line(error: Exception) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
