"""What goes wrong in the local Banana. Each has a code for the stand's own API and a text a user can act on.

PlatformError
    NotFound             there is no such project, build, key, call
    Refused              the request makes no sense as it stands
    Conflict             it does not fit the state of things, such as a second stand on one data directory
    Unauthorized         no key, or a wrong one
    TooBusy              too many calls wait, or too much is being sent; the same may pass later
    StoreError           the database does not take or give a row
        StoreFull        because the disk is full
    ReplicaFailed        a replica did not start, or ended
"""

from __future__ import annotations

__all__ = [
    "Conflict",
    "NotFound",
    "PlatformError",
    "Refused",
    "ReplicaFailed",
    "StoreError",
    "StoreFull",
    "TooBusy",
    "Unauthorized",
]


class PlatformError(Exception):
    """The root; `code` and `status` are what the stand's own API answers."""

    code = "failed"
    status = 500


class NotFound(PlatformError):
    """There is none of that name."""

    code, status = "not_found", 404


class Refused(PlatformError):
    """What was asked for cannot be done, whatever the state of things."""

    code, status = "invalid", 400


class Conflict(PlatformError):
    """What was asked for cannot be done now."""

    code, status = "conflict", 409


class Unauthorized(PlatformError):
    """No key, or none that is valid."""

    code, status = "unauthorized", 401


class TooBusy(PlatformError):
    """A limit of what waits or is being sent is reached; `retry_after` says in how many seconds to come again."""

    code, status = "too_busy", 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StoreError(PlatformError):
    """The database failed."""

    code, status = "store", 503


class StoreFull(StoreError):
    """The disk is full: nothing new is taken."""

    code, status = "disk_full", 503


class ReplicaFailed(PlatformError):
    """A replica did not get ready, or is gone; the text ends with its last words."""

    code, status = "replica_failed", 503
