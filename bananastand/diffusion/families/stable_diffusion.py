"""Stable Diffusion 1 and 2 and whatever shares their pipeline, the embedded model too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..active import ActivePicture, Conditioning
from ..request import GenerationRequest

__all__ = ["StableDiffusion"]

PREVIEW_SIDE = 32  # latents: a preview never decodes more than 32 x 32 of them


class StableDiffusion:
    """Steps a list of pictures with one forward of the UNet.

    The text encoders, the UNet, the scheduler and the VAE are those of the diffusers pipeline; the loop is ours.
    """

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.device: torch.device = pipeline.device
        self.dtype: torch.dtype = pipeline.unet.dtype
        # CPU and GPU convolutions alike are quicker on channels-last memory; the arithmetic is the same.
        pipeline.unet.to(memory_format=torch.channels_last)
        pipeline.vae.to(memory_format=torch.channels_last)

    def begin(self, request: GenerationRequest) -> list[ActivePicture]:
        """Encode the prompt once and lay out the noise of each picture."""
        conditioning = self.encode(request)
        scale: int = self.pipeline.vae_scale_factor
        shape = (1, self.pipeline.unet.config.in_channels, request.height // scale, request.width // scale)
        return [
            ActivePicture(request, i, scheduler=self.pipeline.scheduler, conditioning=conditioning, latent_shape=shape)
            for i in range(request.num_images)
        ]

    def encode(self, request: GenerationRequest) -> Conditioning:
        """The prompt's states, with the negative prompt's before them where there is guidance to do."""
        guided = self.guided(request)
        states, negative = self.pipeline.encode_prompt(
            request.prompt, self.device, 1, guided, negative_prompt=request.negative_prompt
        )
        return Conditioning(torch.cat([negative, states]) if guided else states, {}, request.guidance_scale)

    def guided(self, request: GenerationRequest) -> bool:
        """Classifier-free guidance takes a scale above 1 and a UNet that was not distilled to do without."""
        return request.guidance_scale > 1 and self.pipeline.unet.config.time_cond_proj_dim is None

    def predict(self, batch: Sequence[ActivePicture]) -> list[torch.Tensor]:
        """One forward for all: for each picture its rows of noise, (rows, channels, height, width)."""
        rows = [p.conditioning.rows for p in batch]
        latents = torch.cat([p.model_input().expand(p.conditioning.rows, -1, -1, -1) for p in batch])
        times = torch.cat([p.timestep.expand(p.conditioning.rows) for p in batch])
        noise = self.pipeline.unet(
            latents.contiguous(memory_format=torch.channels_last),
            times,
            encoder_hidden_states=torch.cat([p.conditioning.states for p in batch]),
            timestep_cond=self._guidance_embedding(batch),
            added_cond_kwargs=_added(batch),
            return_dict=False,
        )[0]
        return list(noise.split(rows))

    def decode(self, latents: torch.Tensor) -> Any:
        """Latents (N, channels, height, width) to uint8 pixels, a numpy array (N, height, width, 3)."""
        vae = self.pipeline.vae
        scaled = (latents / vae.config.scaling_factor).to(vae.dtype)
        pixels = vae.decode(scaled.contiguous(memory_format=torch.channels_last), return_dict=False)[0]
        unit = (pixels / 2 + 0.5).clamp(0, 1)
        return (unit.permute(0, 2, 3, 1).float().cpu() * 255).round().to(torch.uint8).numpy()

    def preview(self, latents: torch.Tensor) -> Any:
        """Like decode, from latents thinned to at most PREVIEW_SIDE a side; noise is not hidden."""
        thin = max(1, -(-max(latents.shape[-2:]) // PREVIEW_SIDE))
        return self.decode(latents[..., ::thin, ::thin])

    def _guidance_embedding(self, batch: Sequence[ActivePicture]) -> torch.Tensor | None:
        """Distilled UNets (LCM) are told the guidance scale instead of running it."""
        width = self.pipeline.unet.config.time_cond_proj_dim
        if width is None:
            return None
        scales = torch.tensor([p.conditioning.guidance - 1 for p in batch])
        return self.pipeline.get_guidance_scale_embedding(scales, embedding_dim=width).to(self.device, self.dtype)


def _added(batch: Sequence[ActivePicture]) -> dict[str, torch.Tensor] | None:
    names = batch[0].conditioning.added
    return {name: torch.cat([p.conditioning.added[name] for p in batch]) for name in names} or None
