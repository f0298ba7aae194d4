"""The published architectures with random weights: they time a model honestly and say nothing of its pictures.

No text encoders: prompts are given as random states of the right shape, to the stock pipelines and to ours alike.
`tiny` shrinks width and depth, so that a CPU can try the code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)

__all__ = ["ARCHITECTURES", "Architecture"]


@dataclass(frozen=True)
class Architecture:
    """`make(tiny)` builds the pipeline; `words(pipeline)` is what its encode_prompt answers from then on."""

    make: Callable[[bool], Any]
    words: Callable[[Any], tuple[torch.Tensor, ...]]
    side: int
    steps: int
    guidance: float
    dtype: torch.dtype


def _random(shape: tuple[int, ...], like: Any) -> torch.Tensor:
    generator = torch.Generator("cpu").manual_seed(0)
    return torch.randn(shape, generator=generator).to(like.device, like.dtype)


def _vae(channels: int, tiny: bool, **more: Any) -> AutoencoderKL:
    widths = (8, 8, 16, 16) if tiny else (128, 256, 512, 512)
    return AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1 if tiny else 2,
        norm_num_groups=4 if tiny else 32,
        latent_channels=channels,
        **more,
    )


def sd15(tiny: bool) -> Any:
    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(16, 16, 32, 32) if tiny else (320, 640, 1280, 1280),
        attention_head_dim=2 if tiny else 8,
        norm_num_groups=4 if tiny else 32,
        cross_attention_dim=768,
    )
    return StableDiffusionPipeline(
        vae=_vae(4, tiny, scaling_factor=0.18215),
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl(tiny: bool) -> Any:
    unet = UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(16, 32, 32) if tiny else (320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=1 if tiny else (1, 2, 10),
        attention_head_dim=(2, 4, 4) if tiny else (5, 10, 20),
        norm_num_groups=4 if tiny else 32,
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    return StableDiffusionXLPipeline(
        vae=_vae(4, tiny, scaling_factor=0.13025),
        text_encoder=None,
        text_encoder_2=None,
        tokenizer=None,
        tokenizer_2=None,
        unet=unet,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading"
        ),
        add_watermarker=False,
    )


def sd3_medium(tiny: bool) -> Any:
    transformer = SD3Transformer2DModel(
        sample_size=128,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=2 if tiny else 24,
        attention_head_dim=8 if tiny else 64,
        num_attention_heads=4 if tiny else 24,
        caption_projection_dim=32 if tiny else 1536,
        joint_attention_dim=4096,
        pooled_projection_dim=2048,
        pos_embed_max_size=192,
    )
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_flow_vae(tiny, 1.5305, 0.0609),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        text_encoder_3=None,
        tokenizer_3=None,
    )


def flux(tiny: bool, dev: bool) -> Any:
    transformer = FluxTransformer2DModel(
        in_channels=64,
        num_layers=1 if tiny else 19,
        num_single_layers=1 if tiny else 38,
        attention_head_dim=16 if tiny else 128,
        num_attention_heads=2 if tiny else 24,
        axes_dims_rope=(4, 4, 8) if tiny else (16, 56, 56),
        joint_attention_dim=4096,
        pooled_projection_dim=768,
        guidance_embeds=dev,
    )
    return FluxPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0 if dev else 1.0, use_dynamic_shifting=dev),
        vae=_flow_vae(tiny, 0.3611, 0.1159),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
    )


def _flow_vae(tiny: bool, scale: float, shift: float) -> AutoencoderKL:
    return _vae(16, tiny, scaling_factor=scale, shift_factor=shift, use_quant_conv=False, use_post_quant_conv=False)


def _sd_words(pipeline: Any) -> tuple[torch.Tensor, ...]:
    states = _random((2, 77, 768), pipeline.unet)
    return states[:1], states[1:]


def _sdxl_words(pipeline: Any) -> tuple[torch.Tensor, ...]:
    states, pooled = _random((2, 77, 2048), pipeline.unet), _random((2, 1280), pipeline.unet)
    return states[:1], states[1:], pooled[:1], pooled[1:]


def _sd3_words(pipeline: Any) -> tuple[torch.Tensor, ...]:
    states, pooled = _random((2, 333, 4096), pipeline.transformer), _random((2, 2048), pipeline.transformer)
    return states[:1], states[1:], pooled[:1], pooled[1:]


def _flux_words(pipeline: Any) -> tuple[torch.Tensor, ...]:
    places = torch.zeros(512, 3, device=pipeline.transformer.device, dtype=pipeline.transformer.dtype)
    return _random((1, 512, 4096), pipeline.transformer), _random((1, 768), pipeline.transformer), places


ARCHITECTURES = {
    "sdxl-30": Architecture(sdxl, _sdxl_words, 1024, 30, 5.0, torch.float16),
    "sdxl-20": Architecture(sdxl, _sdxl_words, 1024, 20, 5.0, torch.float16),
    "sd15": Architecture(sd15, _sd_words, 512, 30, 7.5, torch.float16),
    "sd3-medium": Architecture(sd3_medium, _sd3_words, 1024, 28, 7.0, torch.bfloat16),
    "flux-dev": Architecture(lambda tiny: flux(tiny, True), _flux_words, 1024, 28, 3.5, torch.bfloat16),
    "flux-schnell": Architecture(lambda tiny: flux(tiny, False), _flux_words, 1024, 4, 0.0, torch.bfloat16),
}
