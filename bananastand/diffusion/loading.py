"""A card to a loaded diffusers pipeline on the best device of this machine. Knows nothing of requests."""

from __future__ import annotations

import importlib.util
import logging
import os
from typing import Any

from .model_file import Card
from .errors import LoadError

__all__ = ["best_device", "load_pipeline"]


def best_device() -> str:
    """`BANANASTAND_DEVICE` where it is set; else "cuda", "mps" or "cpu", the first that is there."""
    import torch

    if asked := os.environ.get("BANANASTAND_DEVICE"):
        return asked
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def load_pipeline(card: Card, device: str | None = None, dtype: str | None = None) -> Any:
    """Load the card's pipeline from the disk, in the card's dtype for the device. Never touches the network.

    Raises LoadError, one line that says what to do.
    """
    folder = card.local_folder()
    if folder is None:
        raise LoadError(
            f"the weights of {card.name} are not all here; fetch them with: python download.py {card.name}"
            if card.repo
            else f"the weights of {card.name} are missing or damaged in {card.path}; restore that folder"
        )
    _quiet_imports()
    import diffusers
    import torch
    import transformers

    diffusers.utils.logging.set_verbosity_error()
    if card.repo is None:  # it loads within a second: bars would only flicker
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()

    pipeline_class = getattr(diffusers, card.pipeline, None)
    if pipeline_class is None:
        raise LoadError(f"diffusers {diffusers.__version__} has no {card.pipeline} ({card.source.name}: pipeline)")
    device = device or best_device()
    try:
        pipeline = pipeline_class.from_pretrained(
            folder,
            dtype=getattr(torch, dtype or card.dtype_for(torch.device(device).type)),
            variant=card.variant,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=importlib.util.find_spec("accelerate") is not None,
        ).to(device)
    except torch.OutOfMemoryError:
        raise LoadError(
            f"{card.name} needs about {card.memory_gb:g} GB on {device}, which has not that much free; "
            "stop what else runs there or choose a smaller model"
        ) from None
    except (OSError, ValueError, RuntimeError, ImportError, AssertionError) as error:
        raise LoadError(f"{card.name} could not be loaded from {folder}: {_one_line(error)}") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _quiet_imports() -> None:
    """Keep the libraries' notes that no user can act on out of the log."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
