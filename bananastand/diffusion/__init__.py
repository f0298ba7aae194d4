"""From a model file to pictures: model file -> pipeline -> engine -> image.

Names are imported on first use, so that model files and requests cost no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import Engine
    from .errors import Busy, DiffusionError, InvalidRequest, LoadError, OutOfMemory
    from .images import encode, to_base64
    from .job import Job, Painting, Picture, Step
    from .model_file import ModelFile, ModelFileError
    from .model_folder import find_model, list_models
    from .request import GenerationRequest

_MODULES = {
    "engine": ("Engine",),
    "errors": ("Busy", "DiffusionError", "InvalidRequest", "LoadError", "OutOfMemory"),
    "images": ("encode", "to_base64"),
    "job": ("Job", "Painting", "Picture", "Step"),
    "model_file": ("ModelFile", "ModelFileError"),
    "model_folder": ("find_model", "list_models"),
    "request": ("GenerationRequest",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Busy",
    "DiffusionError",
    "Engine",
    "GenerationRequest",
    "InvalidRequest",
    "Job",
    "LoadError",
    "ModelFile",
    "ModelFileError",
    "OutOfMemory",
    "Painting",
    "Picture",
    "Step",
    "encode",
    "find_model",
    "list_models",
    "to_base64",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
