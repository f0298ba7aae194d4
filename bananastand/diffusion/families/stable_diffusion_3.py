"""Stable Diffusion 3 and 3.5: a transformer, three text encoders, flow matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..active_picture import ActivePicture, Conditioning
from ..request import GenerationRequest
from .latent import LatentDiffusion

__all__ = ["StableDiffusion3", "shift_for"]


class StableDiffusion3(LatentDiffusion):
    """Steps a list of pictures with one forward of the transformer."""

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline, pipeline.transformer)

    def encode(self, request: GenerationRequest) -> Conditioning:
        """Encode the prompt, the negative prompt's rows first where there is guidance."""
        guided = request.guidance_scale > 1
        states, negative, pooled, negative_pooled = self.pipeline.encode_prompt(
            prompt=request.prompt,
            prompt_2=None,
            prompt_3=None,
            negative_prompt=request.negative_prompt,
            do_classifier_free_guidance=guided,
            device=self.device,
        )
        if guided:
            states, pooled = torch.cat([negative, states]), torch.cat([negative_pooled, pooled])
        return Conditioning(states, {"pooled_projections": pooled}, request.guidance_scale)

    def schedule(self, request: GenerationRequest, height: int, width: int) -> dict[str, Any]:
        """Return the scheduler's arguments, with the shift of the picture's size where the scheduler takes one."""
        arguments = super().schedule(request, height, width)
        if self.pipeline.scheduler.config.get("use_dynamic_shifting"):
            patch = self.denoiser.config.patch_size
            arguments["mu"] = shift_for(self.pipeline.scheduler, (height // patch) * (width // patch))
        return arguments

    def predict(self, batch: Sequence[ActivePicture]) -> list[torch.Tensor]:
        """Run one forward; return each picture's rows of velocity, (rows, channels, height, width)."""
        rows = [p.conditioning.rows for p in batch]
        velocity = self.denoiser(
            hidden_states=torch.cat([p.model_input().expand(p.conditioning.rows, -1, -1, -1) for p in batch]),
            timestep=torch.cat([p.timestep.expand(p.conditioning.rows) for p in batch]),
            encoder_hidden_states=torch.cat([p.conditioning.states for p in batch]),
            pooled_projections=torch.cat([p.conditioning.added["pooled_projections"] for p in batch]),
            return_dict=False,
        )[0]
        return list(velocity.split(rows))


def shift_for(scheduler: Any, tokens: int) -> float:
    """The scheduler's `mu`: the larger the picture, the longer its schedule stays in the noise."""
    from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import calculate_shift

    known = scheduler.config
    return calculate_shift(
        tokens,
        known.get("base_image_seq_len", 256),
        known.get("max_image_seq_len", 4096),
        known.get("base_shift", 0.5),
        known.get("max_shift", 1.15),
    )
