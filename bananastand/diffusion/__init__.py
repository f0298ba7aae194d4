"""Card -> pipeline -> engine -> image. Knows torch and diffusers; knows nothing of HTTP.

Names load on first use, so that cards and requests cost no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model_file import Card, CardError, find_card, list_cards
    from .engine import Engine
    from .errors import Busy, DiffusionError, InvalidRequest, LoadError, OutOfMemory
    from .images import encode, to_base64
    from .job import Job, Painting, Picture, Step
    from .request import GenerationRequest

_HOMES = {
    "model_file": ("Card", "CardError", "find_card", "list_cards"),
    "engine": ("Engine",),
    "errors": ("Busy", "DiffusionError", "InvalidRequest", "LoadError", "OutOfMemory"),
    "images": ("encode", "to_base64"),
    "job": ("Job", "Painting", "Picture", "Step"),
    "request": ("GenerationRequest",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Busy",
    "Card",
    "CardError",
    "DiffusionError",
    "Engine",
    "GenerationRequest",
    "InvalidRequest",
    "Job",
    "LoadError",
    "OutOfMemory",
    "Painting",
    "Picture",
    "Step",
    "encode",
    "find_card",
    "list_cards",
    "to_base64",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)
