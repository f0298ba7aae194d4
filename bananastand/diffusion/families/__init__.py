"""Families: one adapter for each kind of pipeline. A step family predicts one step for a list of requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from ..active_picture import ActivePicture
from ..request import GenerationRequest
from .flux import Flux
from .stable_diffusion import StableDiffusion
from .stable_diffusion_3 import StableDiffusion3
from .stable_diffusion_xl import StableDiffusionXL
from .whole_pipeline import WholePipeline

__all__ = [
    "Family",
    "Flux",
    "StableDiffusion",
    "StableDiffusion3",
    "StableDiffusionXL",
    "StepFamily",
    "WholePipeline",
    "family_of",
]


class StepFamily(Protocol):
    """What the engine needs of a family: the parts of a picture's life, for a list of pictures."""

    pipeline: Any
    precision: str

    @property
    def device(self) -> torch.device: ...

    def begin(self, request: GenerationRequest) -> list[ActivePicture]:
        """Encode the prompt once and lay out the noise of each picture."""
        ...

    def predict(self, batch: Sequence[ActivePicture]) -> list[torch.Tensor]:
        """One forward for all, which are alike in shape: for each picture its rows of the denoiser's answer."""
        ...

    def decode(self, latents: torch.Tensor) -> Any:
        """Latents (N, ...) to uint8 pixels, a numpy array (N, height, width, 3)."""
        ...

    def preview(self, latents: torch.Tensor) -> Any:
        """A small picture of latents on their way: uint8 pixels (1, height, width, 3)."""
        ...


Family = StepFamily | WholePipeline

_STEP_FAMILIES: dict[str, Callable[[Any], StepFamily]] = {
    "StableDiffusionPipeline": StableDiffusion,
    "StableDiffusionXLPipeline": StableDiffusionXL,
    "StableDiffusion3Pipeline": StableDiffusion3,
    "FluxPipeline": Flux,
}


def family_of(pipeline: Any) -> Family:
    """The adapter for a loaded pipeline; a class without one of its own is called whole."""
    return _STEP_FAMILIES.get(type(pipeline).__name__, WholePipeline)(pipeline)
