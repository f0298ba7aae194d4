"""The limits of a server's connections and of what arrives on them, in one table. Enforces nothing."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

__all__ = ["ConnectionLimits", "connections_for", "raise_open_files"]

FILES_KEPT = 64  # open files for the database, logs, pipes and replicas, before connections have any
MOST_CONNECTIONS = 10_000
MOST_FILES = 2**16  # programs of that time close every file up to their limit when they start


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Times are in seconds, sizes in bytes.

    Attributes:
        first_byte: From the connection to its first byte; then it is closed.
        head: From a request's first byte to the end of its headers; then 408.
        keep_alive: Between two requests; then the connection is closed.
        body_rate: The least bytes a second of a body, over `body_window`, while the server reads; else 408.
        write_idle: Without the caller taking any of an answer that waits; then the connection is closed.
        head_bytes: Of a request's line and headers, trailers included; else 431.
        head_lines: Headers, trailers included; else 431.
        target_bytes: Of a request's target; else 414.
        pipelined: Requests that may be sent before the first is answered.
        drained: Of what is still sent after a refusal, so that the caller can read it.
        connections: At once; None is what the limit of open files allows. Beyond it the longest silent connection is
            closed, and where none is silent, only `reserve` more come in, for health and the server's own API.
    """

    first_byte: float = 15.0
    head: float = 20.0
    keep_alive: float = 75.0
    body_rate: int = 240
    body_window: float = 30.0
    write_idle: float = 120.0
    head_bytes: int = 64 * 2**10
    head_lines: int = 200
    target_bytes: int = 16 * 2**10
    pipelined: int = 16
    drained: int = 32 * 2**20
    connections: int | None = None
    reserve: int = 16

    @property
    def period(self) -> float:
        """How often connections are looked at."""
        return min(1.0, min(self.first_byte, self.head, self.keep_alive, self.body_window, self.write_idle) / 4)


def connections_for(open_files: int) -> int:
    """How many connections a process may hold: each may need a file more, for a replica's or a blob."""
    return max(16, min(MOST_CONNECTIONS, (open_files - FILES_KEPT) // 2))


def raise_open_files() -> int:
    """Raise the limit of open files as far as the system allows, at most to 65,536; returns the limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MOST_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft
