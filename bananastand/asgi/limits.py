"""The limits of a server's connections and of what arrives on them, in one table."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

__all__ = ["ConnectionLimits", "connections_for", "raise_open_files"]

RESERVED_FILES = 64  # open files for the database, logs, pipes and replicas
MAX_CONNECTIONS = 10_000
MAX_FILES = 2**16  # programs of that time close every file up to their limit when they start


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one server. Times are in seconds, sizes in bytes.

    Attributes:
        first_byte: From the connection to its first byte; then it is closed.
        head: From a request's first byte to the end of its headers; then 408.
        keep_alive: Between two requests; then the connection is closed.
        body_rate: The slowest body in bytes a second, over `body_window`, while the server reads; below it 408.
        body_window: Over which the rate of a body is measured.
        write_idle: Without the client reading any of a response that waits; then the connection is closed.
        head_bytes: Request line and headers, trailers included; beyond it 431.
        head_lines: Headers, trailers included; beyond it 431.
        target_bytes: A request's target; beyond it 414.
        pipelined: Requests that may arrive before the first is answered.
        drained: Discarded after a refusal, so that the client can read it.
        connections: At once; None for what the limit of open files allows. Beyond it the longest idle connection is
            closed.
        reserve: Connections beyond `connections` where none is idle, for health checks and the server's own API.
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
    def check_interval(self) -> float:
        """Seconds between two checks of the connections' timeouts."""
        return min(1.0, min(self.first_byte, self.head, self.keep_alive, self.body_window, self.write_idle) / 4)


def connections_for(open_files: int) -> int:
    """Return how many connections a process may hold: each may need one more file, for a replica's socket or a blob."""
    return max(16, min(MAX_CONNECTIONS, (open_files - RESERVED_FILES) // 2))


def raise_open_files() -> int:
    """Raise the limit of open files as far as the system allows, at most to 65,536; return the limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MAX_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < target:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_FILES if soft == resource.RLIM_INFINITY else soft
