"""Families: an adapter for each kind of diffusers pipeline.

To add a family, write a subclass of `LatentDiffusion` and enter it in FAMILIES.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from ..active_picture import StepReport, UnfinishedPicture
from ..cuda import Switches
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
    "WholePipeline",
    "family_of",
]


class Family(Protocol):
    """What the engine needs of a family.

    Attributes:
        pipeline: The diffusers pipeline.
        precision: Precision of the denoiser, as a response names it.
        can_batch: Whether pictures may share a forward.
    """

    pipeline: Any
    precision: str
    can_batch: bool

    @property
    def device(self) -> torch.device:
        """The device of the pipeline."""
        ...

    def accelerate(self, switches: Switches) -> None:
        """Switch on CUDA accelerations."""
        ...

    def begin(self, request: GenerationRequest, on_step: StepReport | None = None) -> Sequence[UnfinishedPicture]:
        """Encode the prompt once and begin each picture; `on_step` takes the steps inside a forward."""
        ...

    def predict(self, batch: Sequence[Any]) -> list[torch.Tensor]:
        """Run one forward for pictures with equal batch keys; return what each picture's `step` takes."""
        ...

    def decode(self, latents: torch.Tensor) -> Any:
        """Decode latents (N, ...) to uint8 pixels, a numpy array (N, height, width, 3)."""
        ...

    def preview(self, latents: torch.Tensor) -> Any:
        """Decode unfinished latents to small uint8 pixels (1, height, width, 3), or None."""
        ...


FAMILIES: dict[str, Callable[[Any], Family]] = {
    "StableDiffusionPipeline": StableDiffusion,
    "StableDiffusionXLPipeline": StableDiffusionXL,
    "StableDiffusion3Pipeline": StableDiffusion3,
    "FluxPipeline": Flux,
}


def family_of(pipeline: Any) -> Family:
    """Return the adapter of a loaded pipeline; a pipeline class without one is called as it is."""
    return FAMILIES.get(type(pipeline).__name__, WholePipeline)(pipeline)
