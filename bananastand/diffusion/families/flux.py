"""FLUX.1: a transformer over packed latents, told its guidance instead of running it twice."""

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
    """FLUX.1-dev and -schnell. One row a picture; there is no negative prompt to take.

    The transformer sees 2 x 2 latents as one token. Pictures keep theirs unpacked: packing only rearranges, and what
    a scheduler does to each value it does to either.
    """

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline, pipeline.transformer)

    @property
    def channels(self) -> int:
        return self.denoiser.config.in_channels // 4

    def encode(self, request: GenerationRequest) -> Conditioning:
        states, pooled, _ = self.pipeline.encode_prompt(prompt=request.prompt, prompt_2=None, device=self.device)
        return Conditioning(states, {"pooled_projections": pooled}, request.guidance_scale)

    def schedule(self, request: GenerationRequest, height: int, width: int) -> dict[str, Any]:
        steps, scheduler = request.num_inference_steps, self.pipeline.scheduler
        told: dict[str, Any] = {"mu": shift_for(scheduler, (height // 2) * (width // 2))}
        if scheduler.config.get("use_flow_sigmas"):
            return {**told, "num_inference_steps": steps}
        return {**told, "sigmas": np.linspace(1.0, 1 / steps, steps)}

    def predict(self, batch: Sequence[ActivePicture]) -> list[torch.Tensor]:
        """One forward for all: for each picture its velocity, (1, channels, height, width)."""
        latents = torch.cat([p.model_input() for p in batch])
        count, channels, height, width = latents.shape
        states = torch.cat([p.conditioning.states for p in batch])
        place: dict[str, Any] = {"device": self.device, "dtype": states.dtype}
        told = torch.tensor([p.conditioning.guidance for p in batch], device=self.device, dtype=torch.float32)
        velocity = self.denoiser(
            hidden_states=self.pipeline._pack_latents(latents, count, channels, height, width),
            timestep=torch.stack([p.timestep for p in batch]).to(latents.dtype) / 1000,
            guidance=told if self.denoiser.config.guidance_embeds else None,
            pooled_projections=torch.cat([p.conditioning.added["pooled_projections"] for p in batch]),
            encoder_hidden_states=states,
            txt_ids=torch.zeros(states.shape[1], 3, **place),
            img_ids=self.pipeline._prepare_latent_image_ids(count, height // 2, width // 2, **place),
            return_dict=False,
        )[0]
        scale = self.pipeline.vae_scale_factor
        return list(self.pipeline._unpack_latents(velocity, height * scale, width * scale, scale).split(1))
