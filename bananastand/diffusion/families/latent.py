"""What all families of latent diffusion share: noise at the start, a VAE at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch

from ..active_picture import ActivePicture, Conditioning
from ..cuda.pinned_memory import to_host
from ..request import GenerationRequest
from .prompt_cache import PromptCache

__all__ = ["LatentDiffusion"]

PREVIEW_SIDE = 32  # latents: a preview never decodes more than 32 x 32 of them


class LatentDiffusion(ABC):
    """Begins and ends pictures. Text encoders, denoiser, scheduler and VAE are those of the diffusers pipeline.

    A family says how to `encode` a prompt and to `predict` a step, and where it differs, its `schedule`.
    """

    def __init__(self, pipeline: Any, denoiser: Any) -> None:
        self.pipeline, self.denoiser = pipeline, denoiser
        self.device: torch.device = pipeline.device
        self.dtype: torch.dtype = denoiser.dtype
        self.precision = str(self.dtype).removeprefix("torch.")  # of the denoiser, as an answer names it
        self.pinned = False  # whether copies to and from the device go through pinned memory
        self.prompts = PromptCache()
        # CPU and GPU convolutions alike are quicker on channels-last memory; the arithmetic is the same.
        pipeline.vae.to(memory_format=torch.channels_last)

    @property
    def channels(self) -> int:
        """Of the latents."""
        return self.denoiser.config.in_channels

    @abstractmethod
    def encode(self, request: GenerationRequest) -> Conditioning:
        """What the prompt says to the denoiser, the negative prompt's rows first where there is guidance to do."""

    @abstractmethod
    def predict(self, batch: Sequence[ActivePicture]) -> list[torch.Tensor]:
        """One forward for all: for each picture its rows of the denoiser's answer, (rows, channels, height, width)."""

    def schedule(self, request: GenerationRequest, height: int, width: int) -> dict[str, Any]:
        """What the scheduler is told beside the number of steps; height and width in latents."""
        return {"num_inference_steps": request.num_inference_steps}

    def begin(self, request: GenerationRequest) -> list[ActivePicture]:
        """Encode the prompt once and lay out the noise of each picture."""
        words = (request.prompt, request.negative_prompt, request.guidance_scale, request.width, request.height)
        conditioning = self.prompts.get(words, lambda: self.encode(request))
        scale: int = self.pipeline.vae_scale_factor
        height, width = request.height // scale, request.width // scale
        return [
            ActivePicture(
                request,
                index,
                scheduler=self.pipeline.scheduler,
                schedule=self.schedule(request, height, width),
                conditioning=conditioning,
                latent_shape=(1, self.channels, height, width),
                pinned=self.pinned,
            )
            for index in range(request.num_images)
        ]

    def pixels(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (N, channels, height, width) to pixels from 0 to 1, float32, (N, height, width, 3), on the device."""
        vae = self.pipeline.vae
        scaled = latents / vae.config.scaling_factor + (getattr(vae.config, "shift_factor", None) or 0.0)
        scaled = scaled.to(vae.dtype).contiguous(memory_format=torch.channels_last)
        unit = (vae.decode(scaled, return_dict=False)[0] / 2 + 0.5).clamp(0, 1)
        return unit.permute(0, 2, 3, 1).float()

    def decode(self, latents: torch.Tensor) -> Any:
        """Latents (N, channels, height, width) to uint8 pixels, a numpy array (N, height, width, 3)."""
        return to_host((self.pixels(latents) * 255).round().to(torch.uint8), self.pinned).numpy()

    def preview(self, latents: torch.Tensor) -> Any:
        """Like decode, from latents thinned to at most PREVIEW_SIDE a side; noise is not hidden."""
        thin = max(1, -(-max(latents.shape[-2:]) // PREVIEW_SIDE))
        return self.decode(latents[..., ::thin, ::thin])
