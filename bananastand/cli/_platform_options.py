"""The options of `bananastand up`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["LOOPBACK", "Options"]

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `fronts` are pairs of a port and a project."""

    port: int
    host: str = LOOPBACK
    hosts: tuple[str, ...] = ()
    data: Path | None = None
    blobs: str | None = field(default=None, repr=False)
    fronts: tuple[tuple[int, str], ...] = ()
    proxy: int | None = None
    mocks: bool = False
    roots: tuple[Path, ...] = ()
    memory_mb: int | None = None
    max_connections: int | None = None
    queue: int = 10_000
    queue_mb: int = 4096
    build_timeout: float = 1800.0
    start_timeout: float = 600.0
    github_secret: str | None = field(default=None, repr=False)
    processes: int | None = 4096
    disk_gb: int | None = None  # GiB that the data directory may take
    isolation: str = "auto"
    network: str = "machine"  # or "none"
    passed: tuple[str, ...] = ()  # names of variables for all builds and replicas
    database: str | None = field(default=None, repr=False)  # the URL of a PostgreSQL database
    advertise: str | None = None  # the URL at which the other fronts of the database reach this one
    cluster: str | None = None  # "auto", or HOST:PORT of Ray's head; None for this machine alone
