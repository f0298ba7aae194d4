"""FLUX.1: a transformer over packed latents, which takes its guidance as an input instead of running twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..active_picture import ActivePicture, Conditioning
from ..request import GenerationRequest
from .latent import LatentDiffusion
from .stable_diffusion_3 import shift_for

__all__ = ["Flux"]


class Flux(LatentDiffusion):
    """FLUX.1-dev and -schnell: one row a picture, no negative prompt.

    The transformer takes 2 x 2 latents as one token. Pictures stay unpacked: packing only rearranges, and a scheduler
    treats each value alike.
    """

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline, pipeline.transformer)

    @property
    def channels(self) -> int:
        """Channels of the unpacked latents."""
        return self.denoiser.config.in_channels // 4

    def encode(self, request: GenerationRequest) -> Conditioning:
        """Encode the prompt: one row."""
        states, pooled, _ = self.pipeline.encode_prompt(prompt=request.prompt, prompt_2=None, device=self.device)
        return Conditioning(states, {"pooled_projections": pooled}, request.guidance_scale)

    def schedule(self, request: GenerationRequest, height: int, width: int) -> dict[str, Any]:
        """Return the scheduler's arguments, with the shift of the picture's size where the scheduler takes one."""
        steps, scheduler = request.num_inference_steps, self.pipeline.scheduler
        arguments: dict[str, Any] = {"mu": shift_for(scheduler, (height // 2) * (width // 2))}
        if scheduler.config.get("use_flow_sigmas"):
            return {**arguments, "num_inference_steps": steps}
        return {**arguments, "sigmas": np.linspace(1.0, 1 / steps, steps)}

    def predict(self, batch: Sequence[ActivePicture]) -> list[torch.Tensor]:
        """Run one forward; return each picture's velocity, (1, channels, height, width)."""
        latents = torch.cat([p.model_input() for p in batch])
        count, channels, height, width = latents.shape
        states = torch.cat([p.conditioning.states for p in batch])
        place: dict[str, Any] = {"device": self.device, "dtype": states.dtype}
        guidance = torch.tensor([p.conditioning.guidance for p in batch], device=self.device, dtype=torch.float32)
        velocity = self.denoiser(
            hidden_states=self.pipeline._pack_latents(latents, count, channels, height, width),
            timestep=torch.stack([p.timestep for p in batch]).to(latents.dtype) / 1000,
            guidance=guidance if self.denoiser.config.guidance_embeds else None,
            pooled_projections=torch.cat([p.conditioning.added["pooled_projections"] for p in batch]),
            encoder_hidden_states=states,
            txt_ids=torch.zeros(states.shape[1], 3, **place),
            img_ids=self.pipeline._prepare_latent_image_ids(count, height // 2, width // 2, **place),
            return_dict=False,
        )[0]
        scale = self.pipeline.vae_scale_factor
        return list(self.pipeline._unpack_latents(velocity, height * scale, width * scale, scale).split(1))
