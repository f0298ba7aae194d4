"""How an app is hosted."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """Limits of one hosted app. Times are in seconds.

    concurrency: handlers at once; None takes what the app declares in its attribute `concurrency`, else 1.
    queue: requests that may wait for a handler; more are refused with 503.
    background_queue: background tasks that may wait or run; more are refused with 429.
    body_memory: bytes of the bodies of all requests that are not answered; more are refused with 503.
    timeout: of a request, its wait included; then 504, and the handler is told through bananastand.cancel.
    background_timeout: of a background task. body_timeout: in which a client must send some of its body, 240 bytes for
    each second. drain: what a stop waits for running requests.
    hosts: names beside this machine's own that a Host may be; "*" for all. guarded: whether Host and Origin are looked
    at; not where the platform has done so.
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
