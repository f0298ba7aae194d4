"""Stable Diffusion 1 and 2 and whatever shares their pipeline, the embedded model too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..active_picture import ActivePicture, Conditioning
from ..request import GenerationRequest
from .latent import LatentDiffusion

__all__ = ["StableDiffusion"]


class StableDiffusion(LatentDiffusion):
    """Steps a list of pictures with one forward of the UNet."""

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline, pipeline.unet)
        pipeline.unet.to(memory_format=torch.channels_last)

    def encode(self, request: GenerationRequest) -> Conditioning:
        """Encode the prompt, the negative prompt's rows first where there is guidance."""
        guided = self.is_guided(request)
        states, negative = self.pipeline.encode_prompt(
            request.prompt, self.device, 1, guided, negative_prompt=request.negative_prompt
        )
        return Conditioning(torch.cat([negative, states]) if guided else states, {}, request.guidance_scale)

    def is_guided(self, request: GenerationRequest) -> bool:
        """Whether to run classifier-free guidance: a scale above 1, and a UNet not distilled to do without."""
        return request.guidance_scale > 1 and self.denoiser.config.time_cond_proj_dim is None

    def predict(self, batch: Sequence[ActivePicture]) -> list[torch.Tensor]:
        """Run one forward; return each picture's rows of noise, (rows, channels, height, width)."""
        rows = [p.conditioning.rows for p in batch]
        latents = torch.cat([p.model_input().expand(p.conditioning.rows, -1, -1, -1) for p in batch])
        times = torch.cat([p.timestep.expand(p.conditioning.rows) for p in batch])
        noise = self.denoiser(
            latents.contiguous(memory_format=torch.channels_last),
            times,
            encoder_hidden_states=torch.cat([p.conditioning.states for p in batch]),
            timestep_cond=self._guidance_embedding(batch),
            added_cond_kwargs=_added(batch),
            return_dict=False,
        )[0]
        return list(noise.split(rows))

    def _guidance_embedding(self, batch: Sequence[ActivePicture]) -> torch.Tensor | None:
        """Return the guidance scale as an input of distilled UNets (LCM), which do not run guidance."""
        width = self.denoiser.config.time_cond_proj_dim
        if width is None:
            return None
        scales = torch.tensor([p.conditioning.guidance - 1 for p in batch])
        return self.pipeline.get_guidance_scale_embedding(scales, embedding_dim=width).to(self.device, self.dtype)


def _added(batch: Sequence[ActivePicture]) -> dict[str, torch.Tensor] | None:
    names = batch[0].conditioning.added
    return {name: torch.cat([p.conditioning.added[name] for p in batch]) for name in names} or None
