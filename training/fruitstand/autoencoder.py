"""Stage one: an AutoencoderTiny that squeezes a picture by 8 each way into 8 channels.

Two habits keep its latents easy for the denoiser. Noise and a pull to zero, as in a variational autoencoder, leave
little room to what few pixels need. And shrunken latents must decode to the shrunken picture, so that the large
shapes lie in the latents' low frequencies; without that, a fifth of the latents' energy is fine noise to learn.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from rich.progress import Progress, track
from torch.nn import functional as F

CHANNELS = 32
LATENT_CHANNELS = 8
CROP = 64  # pixels: training sees crops, the network is convolutional
RATE = 1.5e-3
NOISE = 0.1  # added to the latents, so that the decoder forgives the denoiser its small errors
PULL = 4e-3  # weight of the latents' mean square


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
    """Crops around a random point of a fruit: the background alone teaches little."""
    high = pictures.shape[1] - CROP
    out = np.empty((batch, CROP, CROP, 3), np.uint8)
    for i in range(batch):
        picture = pictures[rng.integers(len(pictures))]
        coarse = picture[::4, ::4].astype(np.int16)
        ys, xs = np.nonzero(np.abs(coarse - coarse[0, 0]).sum(2) > 90)
        centre = rng.integers(len(ys)) if len(ys) else 0
        spot = (ys[centre] * 4, xs[centre] * 4) if len(ys) else (high, high)
        y, x = (int(np.clip(v - CROP // 2 + rng.integers(-16, 17), 0, high)) for v in spot)
        out[i] = picture[y : y + CROP, x : x + CROP]
    return torch.from_numpy(out).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def _loss(decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 and L2 of the pixels and of their differences to the right and downwards.

    The differences keep edges sharp. The squares keep seeds: L1 alone would rather leave out what is small.
    """
    error = decoded - target
    down, across = error.diff(dim=2), error.diff(dim=3)
    absolute = 0.5 * error.abs().mean() + 0.5 * (down.abs().mean() + across.abs().mean())
    return absolute + 6.0 * error.square().mean() + 4.0 * (down.square().mean() + across.square().mean())


def train(
    pictures: np.ndarray, path: Path, *, minutes: float, seed: int, device: str, part: str = "", batch: int = 16
) -> AutoencoderTiny:
    """One round: train for `minutes` of wall time from what `path` holds, or from nothing, and save to `path`.

    part: "decoder" leaves the encoder, and so the latents, as they are. In other rounds the latents' deviation is
    measured at the end.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = AutoencoderTiny.from_pretrained(path) if (path / "config.json").exists() else build()
    model = model.to(device, memory_format=torch.channels_last)
    trained = model.decoder if part == "decoder" else model
    model.requires_grad_(False)
    trained.requires_grad_(True)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=1e-4)
    average = {k: v.detach().clone() for k, v in trained.state_dict().items()}
    started, step = time.monotonic(), 0
    with Progress() as progress:
        bar = progress.add_task("autoencoder", total=minutes * 60)
        while (spent := time.monotonic() - started) < minutes * 60:
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, step / 100 + 0.01) * max(0.01, 1 - spent / (minutes * 60))
            target = _crops(pictures, rng, batch).to(device, memory_format=torch.channels_last)
            with torch.autocast(device, dtype=torch.bfloat16):
                latents = model.encoder(target)
                noisy = latents + NOISE * torch.randn_like(latents)
                decoded = model.decoder(noisy)
                by = rng.choice((2, 2, 4))
                coarse = model.decoder(F.avg_pool2d(noisy, by))
            loss = _loss(decoded.float(), target) + 0.25 * _loss(coarse.float(), F.avg_pool2d(target, by))
            loss = loss + PULL * latents.float().square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
            optimizer.step()
            step += 1
            with torch.no_grad():
                decay = min(0.998, step / (step + 20))
                for key, value in trained.state_dict().items():
                    average[key].lerp_(value, 1 - decay)
            if step % 100 == 0:
                progress.update(bar, completed=spent, description=f"autoencoder step {step} loss {loss.item():.4f}")
                print(f"autoencoder step {step} {spent:.0f}s loss {loss.item():.4f}", flush=True)
    trained.load_state_dict(average)
    if part != "decoder":
        model.register_to_config(scaling_factor=round(1 / float(encode(model, pictures[:512], device).std()), 4))
    model.save_pretrained(path)
    print(
        f"autoencoder: {step} steps, PSNR {psnr(model, pictures[-256:], device):.2f} dB, {model.config.scaling_factor}"
    )
    return model


@torch.no_grad()
def encode(model: AutoencoderTiny, pictures: np.ndarray, device: str, batch: int = 64) -> torch.Tensor:
    """Unscaled latents, float32, shape (N, 8, side / 8, side / 8)."""
    out = []
    for i in track(range(0, len(pictures), batch), description="latents"):
        x = torch.from_numpy(np.array(pictures[i : i + batch])).permute(0, 3, 1, 2).to(device).float().div(127.5).sub(1)
        with torch.autocast(device, dtype=torch.bfloat16):
            out.append(model.encoder(x.contiguous(memory_format=torch.channels_last)).float().cpu())
    return torch.cat(out)


@torch.no_grad()
def psnr(model: AutoencoderTiny, pictures: np.ndarray, device: str) -> float:
    """Peak signal to noise ratio in dB of encode and decode on `pictures` (uint8 NHWC)."""
    x = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1).to(device)
    decoded = model.decoder(model.encoder(x)).clamp(-1, 1)
    return float(-10 * torch.log10(F.mse_loss(decoded / 2, x / 2)))
