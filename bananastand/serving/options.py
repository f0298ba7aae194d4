"""How an app is hosted."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """Limits of one hosted app. Times are in seconds.

    concurrency: handlers at once; None takes what the app declares in its attribute `concurrency`, else 1.
    queue: requests that may wait for a handler; more are refused with 503.
    timeout: of a request, its wait included; then 504, and the handler is told through bananastand.cancel.
    background_timeout: of a background task. body_timeout: for a client to send its body. drain: what a stop waits
    for running requests.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    concurrency: int | None = None
    queue: int = 1000
    timeout: float = 300.0
    background_timeout: float = 900.0
    body_timeout: float = 30.0
    max_body: int = 32 * 2**20  # bytes
    drain: float = 30.0
    access_log: bool = True
