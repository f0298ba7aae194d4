"""Mock servers for the image APIs around Banana.dev: stateful, checked against their contracts, offline.

>>> import bananastand_mocks
>>> with bananastand_mocks.start() as server:
...     server.endpoint("bananadev")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .running import RunningServer, start
    from .server import Server, create_app

__all__ = ["RunningServer", "Server", "create_app", "start"]

MODULES = {"Server": "server", "create_app": "server", "RunningServer": "running", "start": "running"}


def __getattr__(name: str) -> Any:
    """Import a name on first use, because pytest loads this package in every run."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{MODULES[name]}", __name__), name)
