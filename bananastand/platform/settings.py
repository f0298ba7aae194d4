"""How a platform behaves; `bananastand up` fills it from its options and environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .gpus import list_device_numbers

__all__ = ["Settings", "default_data", "list_gpus"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a platform. Times are in seconds, sizes in bytes, unless a comment says otherwise.

    Attributes:
        data: The data directory.
        database: The URL of a PostgreSQL database; None for SQLite in the data directory.
        blobs: The URL of a store for large bodies, uploads and packs of builds; None for the data directory.
        secrets: Variables for every build and its replicas, beside those of a deploy.
        gpus: Values of CUDA_VISIBLE_DEVICES, one for each replica; empty on a machine without GPUs.
        attempts: How often a call may be begun.
        starts: How many starts in a row may fail before the waiting calls end.
    """

    data: Path
    database: str | None = field(default=None, repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    blobs: str | None = field(default=None, repr=False)
    gpus: tuple[str, ...] = ()
    memory_mb: int | None = None  # of a replica
    processes: int | None = 4096  # of a replica, with its threads, where they can be counted
    isolation: str = "auto"  # of processes: "auto", "sandbox" or "none"
    network: bool = True  # whether replicas that are processes have the machine's network
    fork_servers: int = 2  # that are warm: they have an app's imports and fork its replicas
    start_timeout: float = 600.0
    stop_grace: float = 35.0  # a hosted app has 30 of these for its running requests
    attempts: int = 3
    starts: int = 3
    backoff: float = 0.5  # after a start that failed; doubles
    backoff_most: float = 60.0
    background_timeout: float = 900.0
    drain_timeout: float = 60.0  # for a replica's other calls, once a handler in it is stuck
    liveness_interval: float = 10.0  # between two health checks of a ready replica
    liveness_timeout: float = 20.0  # without an answer after which an idle replica is killed
    queue_timeout: float = 3600.0  # that a call may wait for a replica
    keep_results: float = 86_400.0
    build_timeout: float = 1800.0
    build_log: int = 10 * 2**20
    builds_at_once: int = 1
    builds_kept: int = 10  # of a project, for rollbacks
    failed_kept: int = 20  # builds of a project that failed or were cancelled, for their logs
    failed_age: float = 30 * 86_400.0  # after which these are deleted
    failed_files: float = 3600.0  # after which the files of one are deleted
    cache_age: float = 30 * 86_400.0  # after which an unused environment or result of a RUN line is deleted
    disk_budget: int | None = None  # of the data directory; beyond it old versions and caches are deleted
    max_body: int = 64 * 2**20
    max_uploads: int = 4 * 2**30  # of all bodies that are being received
    queue_length: int = 10_000  # waiting calls of a project
    queue_bytes: int = 4 * 2**30  # bodies of a project's calls that are not over
    body_memory: int = 256 * 2**20  # of all bodies that are read into memory to be parsed
    answer_memory: int = 2**30  # of all answers over 64 KiB that are held until their callers have them
    max_message: int = 16 * 2**20  # of a websocket
    max_archive: int = 2 * 2**30
    max_connections: int | None = None  # None for what the limit of open files allows
    scale_wait: float = 1.0  # that a call waits before one more replica is started beside others
    predecessor: str | None = None  # the front that was active before this one
    took_over: float = 0.0  # since 1970: when this front became active

    def earlier_lines(self, created: float) -> str | None:
        """Return where the earlier lines of a log may be, of something that was created at that time."""
        if self.predecessor is None or created > self.took_over:
            return None
        return f"earlier lines are in the data directory of the front {self.predecessor}, which was active before"


def default_data() -> Path:
    """Return the data directory that BANANASTAND_DATA names, else one in the user's data folder."""
    from bananastand.settings import PlatformVariables

    return PlatformVariables().data_directory


def list_gpus() -> tuple[str, ...]:
    """Return the NVIDIA GPUs of this machine, within CUDA_VISIBLE_DEVICES if that is set."""
    from bananastand.settings import PlatformVariables

    if (gpus := PlatformVariables().gpu_list) is not None:
        return gpus
    return list_device_numbers()
