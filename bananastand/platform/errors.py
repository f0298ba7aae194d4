"""The platform's errors. Each has a code for the platform's own API, and a text that a user can act on.

PlatformError
    NotFound             there is no such project, build, key, call
    Refused              the request is invalid
    Conflict             the request does not fit the current state, such as a second platform on one data directory
    Unauthorized         the API key is missing or invalid
    TooBusy              too many calls wait, or too much is being sent; the same request may succeed later
    StoreError           the database failed
        StoreFull        the disk is full
        StoreUnavailable the store of blobs cannot be reached; the same request may succeed later
    ReplicaFailed        a replica did not start, or ended
        NodeLost         its node is gone, which is no fault of its version
"""

from __future__ import annotations

__all__ = [
    "Conflict",
    "NodeLost",
    "NotFound",
    "PlatformError",
    "Refused",
    "ReplicaFailed",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "TooBusy",
    "Unauthorized",
]


class PlatformError(Exception):
    """The root of the errors.

    Attributes:
        code: The code that the platform's own API answers.
        status: Its HTTP status.
    """

    code = "failed"
    status = 500


class NotFound(PlatformError):
    """There is no such project, build, key or call."""

    code, status = "not_found", 404


class Refused(PlatformError):
    """The request is invalid, whatever the current state."""

    code, status = "invalid", 400


class Conflict(PlatformError):
    """The request does not fit the current state."""

    code, status = "conflict", 409


class Unauthorized(PlatformError):
    """The API key is missing or invalid."""

    code, status = "unauthorized", 401


class TooBusy(PlatformError):
    """A limit of waiting calls or of uploads is reached.

    Attributes:
        retry_after: Seconds after which to try again.
    """

    code, status = "too_busy", 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StoreError(PlatformError):
    """The database failed."""

    code, status = "store", 503


class StoreFull(StoreError):
    """The disk is full: the platform accepts nothing new."""

    code, status = "disk_full", 503


class StoreUnavailable(StoreError):
    """The store of blobs cannot be reached, or fails: the same request may succeed later."""


class ReplicaFailed(PlatformError):
    """A replica did not get ready, or has ended; the text ends with its last log lines."""

    code, status = "replica_failed", 503


class NodeLost(ReplicaFailed):
    """The node of a replica is gone or cannot be reached: no fault of the version's, nor of a call's."""

    code, status = "node_lost", 503
