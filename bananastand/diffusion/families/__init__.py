"""Families: one adapter for each kind of pipeline. A step family predicts one step for a list of requests."""

from __future__ import annotations

from typing import Any

from .stable_diffusion import StableDiffusion
from .stable_diffusion_xl import StableDiffusionXL
from .whole import WholePipeline

__all__ = ["Family", "StableDiffusion", "StableDiffusionXL", "WholePipeline", "family_of"]

Family = StableDiffusion | WholePipeline

_STEP_FAMILIES: dict[str, type[StableDiffusion]] = {
    "StableDiffusionPipeline": StableDiffusion,
    "StableDiffusionXLPipeline": StableDiffusionXL,
}


def family_of(pipeline: Any) -> Family:
    """The adapter for a loaded pipeline; a class without one of its own is called whole."""
    return _STEP_FAMILIES.get(type(pipeline).__name__, WholePipeline)(pipeline)
