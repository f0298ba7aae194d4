"""Loads the diffusers pipeline of a model file onto the best device of this machine."""

from __future__ import annotations

import importlib.util
import logging
import os
from typing import Any

from .errors import LoadError
from .model_file import ModelFile

__all__ = ["best_device", "load_pipeline"]


def best_device() -> str:
    """Return `BANANASTAND_DEVICE` where it is set, else the first of "cuda", "mps" and "cpu" that the machine has."""
    import torch

    if device := os.environ.get("BANANASTAND_DEVICE"):
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def load_pipeline(model: ModelFile, device: str | None = None, dtype: str | None = None) -> Any:
    """Load a model's pipeline from the disk; the network is never used.

    Args:
        model: The model file.
        device: "cpu", "cuda" or "mps"; by default the best of this machine.
        dtype: Precision; by default the model file's for the device.

    Returns:
        The diffusers pipeline.

    Raises:
        LoadError: One line that says what to do.
    """
    folder = model.local_folder()
    if folder is None:
        raise LoadError(
            f"the weights of {model.name} are not all here; fetch them with: python download.py {model.name}"
            if model.repo
            else f"the weights of {model.name} are missing or damaged in {model.path}; restore that folder"
        )
    _quiet_imports()
    import diffusers
    import torch
    import transformers

    diffusers.utils.logging.set_verbosity_error()
    if model.repo is None:  # it loads within a second: progress bars would only flicker
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()

    pipeline_class = getattr(diffusers, model.pipeline, None)
    if pipeline_class is None:
        raise LoadError(f"diffusers {diffusers.__version__} has no {model.pipeline} ({model.source.name}: pipeline)")
    device = device or best_device()
    try:
        pipeline = pipeline_class.from_pretrained(
            folder,
            dtype=getattr(torch, dtype or model.dtype_for(torch.device(device).type)),
            variant=model.variant,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=importlib.util.find_spec("accelerate") is not None,
        ).to(device)
    except torch.OutOfMemoryError:
        raise LoadError(
            f"{model.name} needs about {model.memory_gb:g} GB on {device}, which has not that much free; "
            "stop what else runs there or choose a smaller model"
        ) from None
    except (OSError, ValueError, RuntimeError, ImportError, AssertionError) as error:
        raise LoadError(f"{model.name} could not be loaded from {folder}: {_one_line(error)}") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _quiet_imports() -> None:
    """Keep notes of the libraries that no user can act on out of the log."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
