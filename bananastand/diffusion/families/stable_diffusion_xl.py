"""SDXL: two text encoders, and the pooled text and the picture's size as added conditions."""

from __future__ import annotations

from typing import Any

import torch

from ..active_picture import Conditioning
from ..request import GenerationRequest
from .stable_diffusion import StableDiffusion

__all__ = ["StableDiffusionXL"]


class StableDiffusionXL(StableDiffusion):
    """SDXL, its Turbo and its Lightning kin. It always conditions on a picture that was never cropped or scaled."""

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        if pipeline.vae.dtype == torch.float16 and pipeline.vae.config.force_upcast:
            pipeline.vae.to(torch.float32)  # SDXL's own VAE overflows in half precision

    def encode(self, request: GenerationRequest) -> Conditioning:
        """Encode the prompt, the negative prompt's rows first where there is guidance."""
        guided = self.is_guided(request)
        states, negative, pooled, negative_pooled = self.pipeline.encode_prompt(
            request.prompt,
            device=self.device,
            do_classifier_free_guidance=guided,
            negative_prompt=request.negative_prompt,
        )
        size = (request.height, request.width)
        encoder = self.pipeline.text_encoder_2
        times = self.pipeline._get_add_time_ids(  # original size, crop corner, target size
            size,
            (0, 0),
            size,
            dtype=states.dtype,
            text_encoder_projection_dim=encoder.config.projection_dim if encoder else pooled.shape[-1],
        ).to(self.device)
        if guided:
            states, pooled = torch.cat([negative, states]), torch.cat([negative_pooled, pooled])
            times = times.expand(2, -1)
        return Conditioning(states, {"text_embeds": pooled, "time_ids": times}, request.guidance_scale)
