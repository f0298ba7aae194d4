"""Random-weight pipelines built from configuration: every part is real diffusers code, only small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from bananastand.diffusion.model_file import DTypes, Guidance, Images, ModelFile, Size, Steps


def model_file(name: str = "tiny", side: int = 32, pipeline: str = "StableDiffusionPipeline") -> ModelFile:
    """A model file for a tiny pipeline that paints `side` pixels and little else."""
    return ModelFile(
        name=name,
        source=Path(f"{name}.toml"),
        path=Path(name),
        pipeline=pipeline,
        licence="Apache-2.0",
        memory_gb=0.1,
        steps=Steps(default=4, max=50),
        size=Size(default=(side, side), multiple_of=8, max=(2 * side, 2 * side), min=(side // 2, side // 2)),
        guidance=Guidance(default=4.0, max=20.0),
        images=Images(max=4),
        dtype=DTypes(cpu="float32"),
    )


def stable_diffusion(folder: Path) -> Any:
    torch.manual_seed(0)
    return StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text(32)),
        tokenizer=make_tokenizer(folder),
        unet=make_unet(32),
        scheduler=_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to("cpu")


def stable_diffusion_xl(folder: Path) -> Any:
    torch.manual_seed(0)
    second = _text(32)
    second.projection_dim = 32
    return StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text(32)),
        text_encoder_2=CLIPTextModelWithProjection(second),
        tokenizer=make_tokenizer(folder),
        tokenizer_2=make_tokenizer(folder),
        unet=make_unet(
            64,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=8 * 6 + 32,
        ),
        scheduler=_scheduler(),
    ).to("cpu")


def stable_diffusion_3(folder: Path, dynamic: bool = False) -> Any:
    torch.manual_seed(0)
    config = _text(32)
    config.projection_dim = 32
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
    )
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=dynamic),
        vae=_vae(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModelWithProjection(config),
        tokenizer=make_tokenizer(folder),
        text_encoder_2=CLIPTextModelWithProjection(config),
        tokenizer_2=make_tokenizer(folder),
        text_encoder_3=None,
        tokenizer_3=None,
    ).to("cpu")


class StrangePipeline(StableDiffusion3Pipeline):
    """A pipeline without an adapter of ours."""


def strange(folder: Path) -> Any:
    pipeline = StrangePipeline(**stable_diffusion_3(folder).components)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def flux(folder: Path, guidance_embeds: bool = True) -> Any:
    torch.manual_seed(0)
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=guidance_embeds,
    )
    letters = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((letter, -1.0) for letter in f"▁{_LETTERS}")]
    t5 = T5Config(vocab_size=len(letters), d_model=32, d_ff=37, d_kv=8, num_heads=4, num_layers=2)
    return FluxPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=guidance_embeds),
        vae=_vae(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModel(_text(32)),
        tokenizer=make_tokenizer(folder),
        text_encoder_2=T5EncoderModel(t5).eval(),
        tokenizer_2=T5TokenizerFast(vocab=letters, extra_ids=0, model_max_length=512),
    ).to("cpu")


def make_unet(width: int, **more: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=(2, 4),
        norm_num_groups=8,
        **more,
    ).eval()


def _vae(**more: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        sample_size=32,
        **more,
    ).eval()


def _text(width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=_VOCABULARY,
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=20,
        bos_token_id=_VOCABULARY - 2,
        eos_token_id=_VOCABULARY - 1,
        pad_token_id=_VOCABULARY - 1,
        projection_dim=32,
    )


def _scheduler() -> DDIMScheduler:
    return DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VOCABULARY = 2 * len(_LETTERS) + 2


def make_tokenizer(folder: Path) -> CLIPTokenizer:
    symbols = [*_LETTERS, *(f"{letter}</w>" for letter in _LETTERS), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({symbol: i for i, symbol in enumerate(symbols)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=20)
