"""Stage one: an AutoencoderTiny that squeezes a picture by 8 each way into 8 channels."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from rich.progress import Progress
from torch.nn import functional as F

CHANNELS = 32
LATENT_CHANNELS = 8
CROP = 64  # pixels: training sees crops, the network is convolutional


def build() -> AutoencoderTiny:
    width = (CHANNELS,) * 4
    return AutoencoderTiny(
        encoder_block_out_channels=width,
        decoder_block_out_channels=width,
        num_encoder_blocks=(1, 2, 2, 3),
        num_decoder_blocks=(3, 2, 2, 1),
        latent_channels=LATENT_CHANNELS,
    )


def _crops(pictures: np.ndarray, rng: np.random.Generator, batch: int) -> torch.Tensor:
    high = pictures.shape[1] - CROP + 1
    out = np.empty((batch, CROP, CROP, 3), np.uint8)
    for i in range(batch):
        y, x = rng.integers(0, high, 2)
        out[i] = pictures[rng.integers(len(pictures)), y : y + CROP, x : x + CROP]
    return torch.from_numpy(out).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def _loss(seen: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """L1 and L2 of the pixels, and L1 of their differences to the right and downwards: edges stay sharp."""
    error = seen - wanted
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return error.abs().mean() + 2.0 * error.square().mean() + 0.5 * edges


def train(pictures: np.ndarray, path: Path, *, minutes: float, seed: int, device: str, batch: int = 24) -> AutoencoderTiny:
    """Train for `minutes` of wall time, then measure the latents' deviation and save to `path`."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = build().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    started, step = time.monotonic(), 0
    with Progress() as progress:
        bar = progress.add_task("autoencoder", total=minutes * 60)
        while (spent := time.monotonic() - started) < minutes * 60:
            share = spent / (minutes * 60)
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * min(1.0, step / 100 + 0.01) * max(0.01, 1 - share)
            wanted = _crops(pictures, rng, batch).to(device, memory_format=torch.channels_last)
            with torch.autocast(device, dtype=torch.bfloat16):
                latents = model.encoder(wanted)
                noisy = latents + 0.04 * torch.randn_like(latents)
                seen = model.decoder(noisy)
            # A light pull to a unit cube keeps the latents inside the decoder's soft clamp at 3.
            loss = _loss(seen.float(), wanted) + 1e-3 * latents.float().square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            with torch.no_grad():
                decay = min(0.998, step / (step + 20))
                for key, value in model.state_dict().items():
                    average[key].lerp_(value, 1 - decay)
            if step % 100 == 0:
                progress.update(bar, completed=spent, description=f"autoencoder step {step} loss {loss.item():.4f}")
                print(f"autoencoder step {step} {spent:.0f}s loss {loss.item():.4f}", flush=True)
    model.load_state_dict(average)
    model.register_to_config(scaling_factor=round(1 / float(encode(model, pictures[:512], device).std()), 4))
    model.save_pretrained(path)
    print(f"autoencoder: {step} steps, PSNR {psnr(model, pictures[-256:], device):.2f} dB, config {model.config.scaling_factor}")
    return model


@torch.no_grad()
def encode(model: AutoencoderTiny, pictures: np.ndarray, device: str, batch: int = 64) -> torch.Tensor:
    """Unscaled latents, float32, shape (N, 8, side / 8, side / 8)."""
    out = []
    for i in range(0, len(pictures), batch):
        x = torch.from_numpy(np.array(pictures[i : i + batch])).permute(0, 3, 1, 2).to(device).float().div(127.5).sub(1)
        with torch.autocast(device, dtype=torch.bfloat16):
            out.append(model.encoder(x.contiguous(memory_format=torch.channels_last)).float().cpu())
    return torch.cat(out)


@torch.no_grad()
def psnr(model: AutoencoderTiny, pictures: np.ndarray, device: str) -> float:
    """Peak signal to noise ratio in dB of encode and decode on `pictures` (uint8 NHWC)."""
    x = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1).to(device)
    seen = model.decoder(model.encoder(x)).clamp(-1, 1)
    return float(-10 * torch.log10(F.mse_loss(seen / 2, x / 2)))
