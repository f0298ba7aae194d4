"""The options of a hosted app."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """Limits of one hosted app. Times are in seconds.

    Attributes:
        concurrency: Handlers at once; None for what the app declares in its attribute `concurrency`, else 1.
        queue: Requests that may wait for a handler; more are refused with 503.
        background_queue: Background tasks that may wait or run; more are refused with 429.
        body_memory: Bytes of the bodies of all requests that are not answered; more are refused with 503.
        hosts: Names beside this machine's own that a Host header may have; "*" for all.
        guarded: Whether Host and Origin are checked; False where the platform has done so.
        timeout: Of a request, its wait included; then it is answered with 504, and its handler is cancelled.
        background_timeout: Of a background task.
        body_timeout: In which a client must send some of its body, 240 bytes for each second.
        max_body: Bytes of one body; a larger one is refused with 413.
        drain: What a stop waits for running requests.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    concurrency: int | None = None
    queue: int = 1000
    background_queue: int = 256
    body_memory: int = 256 * 2**20
    hosts: tuple[str, ...] = ()
    guarded: bool = True
    timeout: float = 300.0
    background_timeout: float = 900.0
    body_timeout: float = 30.0
    max_body: int = 32 * 2**20  # bytes
    drain: float = 30.0
    access_log: bool = True
