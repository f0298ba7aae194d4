"""How a stand behaves. Knows no environment variable and no file; the command line fills it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .gpus import list_device_numbers

__all__ = ["Settings", "list_gpus", "default_data"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds, sizes in bytes unless they say otherwise.

    `gpus` are what CUDA_VISIBLE_DEVICES may be set to, one for each replica; empty where there are none. `attempts` is
    how often a call may be begun, `starts` how many starts in a row may fail before those that wait are told. `secrets`
    reach every build and its replicas, as those that a deploy names do.
    """

    data: Path
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    gpus: tuple[str, ...] = ()
    memory_mb: int | None = None  # of a replica
    processes: int | None = 4096  # of a replica, threads too, where they can be counted
    isolation: str = "auto"  # of processes: "auto", "sandbox" or "none"
    network: bool = True  # whether replicas that are processes have the machine's
    fork_servers: int = 2  # that stand by with an app's imports and fork its replicas
    start_timeout: float = 600.0
    stop_grace: float = 35.0  # a hosted app has 30 for what it is at
    attempts: int = 3
    starts: int = 3
    backoff: float = 0.5  # after a start that failed; doubles
    backoff_most: float = 60.0
    background_timeout: float = 900.0
    drain_timeout: float = 60.0  # for a replica's other calls, once a handler in it is stuck
    liveness_interval: float = 10.0  # between two health questions to a ready replica
    liveness_timeout: float = 20.0  # without an answer after which an idle replica is killed
    queue_timeout: float = 3600.0  # that a call may wait for a replica
    keep_results: float = 86_400.0
    build_timeout: float = 1800.0
    build_log: int = 10 * 2**20
    builds_at_once: int = 1
    builds_kept: int = 10  # of a project, as versions to go back to
    failed_kept: int = 20  # builds of a project that failed or were cancelled, for their logs
    failed_age: float = 30 * 86_400.0  # that they are kept at most
    failed_files: float = 3600.0  # that the files of one are kept
    cache_age: float = 30 * 86_400.0  # that an environment or the result of a RUN line is kept without a use
    disk_budget: int | None = None  # of the data directory: beyond it old versions and caches go
    max_body: int = 64 * 2**20
    max_uploads: int = 4 * 2**30  # of all bodies that are being received
    queue_length: int = 10_000  # calls that may wait, of a project
    queue_bytes: int = 4 * 2**30  # of the bodies of a project's calls that are not over
    body_memory: int = 256 * 2**20  # of all bodies that are read into memory to be parsed
    max_message: int = 16 * 2**20  # of a websocket
    max_archive: int = 2 * 2**30
    max_connections: int | None = None  # None: what the limit of open files allows
    scale_wait: float = 1.0  # that a call waits before one more replica is started beside others


def default_data() -> Path:
    """Where a stand keeps its things: BANANASTAND_DATA, or the user's data folder."""
    if value := os.environ.get("BANANASTAND_DATA"):
        return Path(value)
    share = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(share) / "bananastand"


def list_gpus() -> tuple[str, ...]:
    """The NVIDIA cards of this machine, within CUDA_VISIBLE_DEVICES where that is set."""
    if (value := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return tuple(each.strip() for each in value.split(",") if each.strip() not in ("", "-1"))
    return list_device_numbers()
