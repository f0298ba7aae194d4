"""What `bananastand up` serves: a platform, or one of several fronts of one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bananastand.asgi.refusals import Dialect

__all__ = ["Service"]


@dataclass(frozen=True, slots=True)
class Service:
    """An application that is ready.

    Attributes:
        app: The application of all ports.
        dialect: The form of what the server refuses before it.
        release_waiters: Ends the wait of all callers, because the server is about to stop.
        close: Stops everything.
        failed: Done with the error after which it cannot go on; None where there is no such error.
    """

    app: Any
    dialect: Dialect
    release_waiters: Callable[[], None]
    close: Callable[[], Awaitable[None]]
    failed: asyncio.Future[None] | None = None
