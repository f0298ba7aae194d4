"""Clients of what is called over HTTP. Knows httpx2 and pydantic; knows nothing of torch, diffusers or the mocks.

Banana, AsyncBanana             Banana.dev's own API
BananaDev, AsyncBananaDev       Banana.dev behind LowCodeAPI
FalAI, AsyncFalAI               fal.ai behind LowCodeAPI
FalQueue, AsyncFalQueue         fal.ai's queue
GoBananas, AsyncGoBananas       Go Bananas!
PaperBanana, AsyncPaperBanana   PaperBanana
PotassiumApp                    a running Potassium app

Each is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .banana import AsyncBanana, Banana
    from .bananadev import AsyncBananaDev, BananaDev
    from .falai import AsyncFalAI, FalAI
    from .falqueue import AsyncFalQueue, FalQueue
    from .gobananas import AsyncGoBananas, GoBananas
    from .paperbanana import AsyncPaperBanana, PaperBanana
    from .potassium import PotassiumApp

__all__ = [
    "AsyncBanana",
    "AsyncBananaDev",
    "AsyncFalAI",
    "AsyncFalQueue",
    "AsyncGoBananas",
    "AsyncPaperBanana",
    "Banana",
    "BananaDev",
    "FalAI",
    "FalQueue",
    "GoBananas",
    "PaperBanana",
    "PotassiumApp",
]


def __getattr__(name: str) -> Any:
    """The client of this name, from the module of its provider."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "potassium" if name == "PotassiumApp" else name.removeprefix("Async").lower()
    return getattr(import_module(f".{module}", __name__), name)
