"""What all families of latent diffusion share: noise at the start, a VAE at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch

from ..active_picture import ActivePicture, Conditioning, StepReport
from ..cuda import Switches, accelerate
from ..cuda.pinned_memory import to_host
from ..request import GenerationRequest
from .prompt_cache import PromptCache

__all__ = ["LatentDiffusion"]

PREVIEW_SIDE = 32  # latents: a preview decodes at most 32 x 32 of them


class LatentDiffusion(ABC):
    """Begins and ends pictures with the parts of a diffusers pipeline.

    A family defines how to `encode` a prompt and how to `predict` a step, and overrides `schedule` where it differs.

    Args:
        pipeline: The loaded pipeline.
        denoiser: Its UNet or transformer.
    """

    can_batch = True

    def __init__(self, pipeline: Any, denoiser: Any) -> None:
        self.pipeline, self.denoiser = pipeline, denoiser
        self.device: torch.device = pipeline.device
        self.dtype: torch.dtype = denoiser.dtype
        self.precision = str(self.dtype).removeprefix("torch.")  # of the denoiser, as a response names it
        self.pinned = False  # whether copies to and from the device go through pinned memory
        self.prompts = PromptCache()
        # CPU and GPU convolutions alike are quicker on channels-last memory; the arithmetic is the same.
        pipeline.vae.to(memory_format=torch.channels_last)

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        return self.denoiser.config.in_channels

    @abstractmethod
    def encode(self, request: GenerationRequest) -> Conditioning:
        """Encode the prompt, the negative prompt's rows first where there is guidance."""

    @abstractmethod
    def predict(self, batch: Sequence[ActivePicture]) -> list[torch.Tensor]:
        """Run one forward.

        Args:
            batch: Pictures with equal batch keys.

        Returns:
            For each picture its rows of the denoiser's output, (rows, channels, height, width).
        """

    def schedule(self, request: GenerationRequest, height: int, width: int) -> dict[str, Any]:
        """Return the arguments of the scheduler's `set_timesteps`; height and width in latents."""
        return {"num_inference_steps": request.num_inference_steps}

    def accelerate(self, switches: Switches) -> None:
        """Switch on CUDA accelerations around the denoiser."""
        accelerate(self, switches)

    def begin(self, request: GenerationRequest, on_step: StepReport | None = None) -> list[ActivePicture]:
        """Encode the prompt once and draw each picture's noise; a forward is one step, so `on_step` is unused."""
        key = (request.prompt, request.negative_prompt, request.guidance_scale, request.width, request.height)
        conditioning = self.prompts.get(key, lambda: self.encode(request))
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
        """Decode latents (N, channels, height, width) to float32 pixels from 0 to 1, (N, height, width, 3)."""
        vae = self.pipeline.vae
        scaled = latents / vae.config.scaling_factor + (getattr(vae.config, "shift_factor", None) or 0.0)
        scaled = scaled.to(vae.dtype).contiguous(memory_format=torch.channels_last)
        unit = (vae.decode(scaled, return_dict=False)[0] / 2 + 0.5).clamp(0, 1)
        return unit.permute(0, 2, 3, 1).float()

    def decode(self, latents: torch.Tensor) -> Any:
        """Decode latents (N, channels, height, width) to uint8 pixels, a numpy array (N, height, width, 3)."""
        return to_host((self.pixels(latents) * 255).round().to(torch.uint8), self.pinned).numpy()

    def preview(self, latents: torch.Tensor) -> Any:
        """Decode latents thinned to at most PREVIEW_SIDE a side: uint8 pixels (1, height, width, 3)."""
        stride = max(1, -(-max(latents.shape[-2:]) // PREVIEW_SIDE))
        return self.decode(latents[..., ::stride, ::stride])
