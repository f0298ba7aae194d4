"""Stage three: the UNet learns, with the text encoder, to carry noise to latents along straight lines.

Rectified flow: x_t = (1 - t) x_0 + t noise, and the network predicts noise - x_0, which is what a diffusers scheduler
with prediction_type="flow_prediction" expects, with t * 1000 as its timestep.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from rich.progress import Progress
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from .autoencoder import LATENT_CHANNELS
from .scenes import Scene, caption, decorated, foreign
from .text import WIDTH, tokens


@dataclass(frozen=True)
class Plan:
    """How the denoiser is trained. `minutes` is wall time over all runs of one training."""

    minutes: float
    seed: int = 0
    device: str = "cpu"
    batch: int = 32
    rate: float = 1e-3
    text_rate: float = 3e-4
    warm_up: int = 200
    decay_from: float = 0.55  # share of the time after which the rate falls to its end
    average: float = 0.998
    unguided: float = 0.10  # share of captions emptied, for guidance
    foreign: float = 0.12  # share of captions that name nothing we draw; their pictures are the plain ones
    hard: float = 0.3  # share of lessons drawn from the scenes that are learned last
    compile: bool = False  # a tenth faster on CPU after a minute of compiling; needs a C++ compiler


def build(side: int = 16, channels: tuple[int, int] = (96, 160)) -> UNet2DConditionModel:
    """The caption reaches the network twice: word by word through cross-attention at 8 x 8, and as a whole through the
    time embedding, which scales and shifts every block."""
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,  # diffusers' name for the number of heads
        norm_num_groups=16,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


class Masters:
    """Parameters in float32 with their optimizers and running average, beside a working copy in the network's dtype.

    The UNet's inner weights are matrices to Muon; AdamW has the rest: the first and last layers, biases, norms and the
    text encoder.
    """

    def __init__(self, networks: dict[str, nn.Module], plan: Plan) -> None:
        self.working = {f"{n}.{k}": p for n, net in networks.items() for k, p in net.named_parameters()}
        self.exact = {k: _last(p.detach().float().clone()) for k, p in self.working.items()}
        self.average = {k: p.clone() for k, p in self.exact.items()}
        for value in self.exact.values():
            value.requires_grad_()
        inner = {
            k
            for k, p in self.exact.items()
            if k.startswith("unet.") and p.ndim > 1 and len(p) > 1 and not k.startswith("unet.conv_")
        }
        self.matrices = {k: _matrix(self.exact[k].detach()).requires_grad_() for k in sorted(inner)}
        rest = {k: p for k, p in self.exact.items() if k not in inner}
        groups = [
            {"params": [p for k, p in rest.items() if k.startswith(f"{n}.")], "lr": rate}
            for n, rate in (("unet", plan.rate), ("text", plan.text_rate))
        ]
        self.optimizers = (
            torch.optim.Muon(
                list(self.matrices.values()), lr=plan.rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.01, fused=True),
        )
        self.tops = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]

    def step(self, share_of_rate: float, decay: float) -> float:
        """One update; returns the norm of the gradient before it was clipped to 1."""
        for key, value in self.exact.items():
            gradient = self.working[key].grad
            value.grad = torch.zeros_like(value) if gradient is None else gradient.float()
            self.working[key].grad = None
        norm = nn.utils.clip_grad_norm_(list(self.exact.values()), 1.0)
        for key, value in self.matrices.items():
            value.grad = _matrix(self.exact[key].grad)
        for optimizer, tops in zip(self.optimizers, self.tops, strict=True):
            for group, top in zip(optimizer.param_groups, tops, strict=True):
                group["lr"] = top * share_of_rate
            optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), [p.detach() for p in self.exact.values()], 1 - decay)
            torch._foreach_copy_(list(self.working.values()), [p.detach() for p in self.exact.values()])
        return float(norm)

    def copy_average(self, networks: dict[str, nn.Module]) -> None:
        """Put the averaged parameters into other networks of the same shape."""
        with torch.no_grad():
            for name, net in networks.items():
                for key, value in net.named_parameters():
                    value.copy_(self.average[f"{name}.{key}"])

    def state(self) -> dict[str, object]:
        """What a later run needs; moments in bfloat16 and the average as a coarse difference
        (forgotten within a thousand steps) keep it under 64 MB."""
        return {
            "exact": {k: v.detach() for k, v in self.exact.items()},
            "average": {k: (v - self.exact[k].detach()).to(torch.float8_e5m2) for k, v in self.average.items()},
            "moments": [_packed(optimizer.state_dict()["state"]) for optimizer in self.optimizers],
        }

    def load(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            for key, value in self.exact.items():
                value.copy_(state["exact"][key])
                self.average[key].copy_(value + state["average"][key].float())
                self.working[key].copy_(value)
        for optimizer, packed in zip(self.optimizers, state["moments"], strict=True):
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": _unpacked(packed), "param_groups": groups})


def _matrix(weight: torch.Tensor) -> torch.Tensor:
    """The weight as a matrix of its outputs by all else: a view, where the weight is channels_last."""
    return weight.permute(0, 2, 3, 1).flatten(1) if weight.ndim == 4 else weight


def _last(weight: torch.Tensor) -> torch.Tensor:
    return weight.contiguous(memory_format=torch.channels_last) if weight.ndim == 4 else weight


def _packed(state: dict[int, dict[str, torch.Tensor]]) -> dict[int, dict[str, torch.Tensor]]:
    """Moments in bfloat16; a mean square as its root, whose range that holds better."""
    small = {
        "step": lambda v: v,
        "exp_avg_sq": lambda v: v.sqrt().bfloat16(),
    }
    return {i: {k: small.get(k, torch.Tensor.bfloat16)(v) for k, v in weights.items()} for i, weights in state.items()}


def _unpacked(state: dict[int, dict[str, torch.Tensor]]) -> dict[int, dict[str, torch.Tensor]]:
    full = {"step": lambda v: v, "exp_avg_sq": lambda v: v.float().square()}
    return {i: {k: full.get(k, torch.Tensor.float)(v) for k, v in weights.items()} for i, weights in state.items()}


def train(
    latents: torch.Tensor,
    scenes: list[Scene],
    tokenizer: CLIPTokenizer,
    text: CLIPTextModel,
    folder: Path,
    plan: Plan,
) -> dict[str, nn.Module]:
    """Train, or go on where `folder/state.pt` stopped; returns float32 networks with the averaged parameters.

    latents: float, shape (N, 8, side, side), scaled to unit deviation. Losses are appended to `folder/loss.jsonl`.
    """
    torch.manual_seed(plan.seed)
    working = torch.bfloat16
    unet = build(latents.shape[-1]).to(plan.device, working, memory_format=torch.channels_last)
    unet.set_attn_processor(AttnProcessor())  # plain matrix products: on CPU faster backwards than the fused attention
    networks: dict[str, nn.Module] = {"unet": unet, "text": text.to(plan.device, working)}
    masters = Masters(networks, plan)
    spent_before, step = 0.0, 0
    if (folder / "state.pt").exists():
        saved = torch.load(folder / "state.pt", map_location=plan.device, weights_only=True)
        masters.load(saved["masters"])
        spent_before, step = saved["spent"], saved["step"]
    rng, noise = random.Random(plan.seed + step), torch.Generator().manual_seed(plan.seed + step)
    forward = torch.compile(unet) if plan.compile else unet
    plain = [i for i, scene in enumerate(scenes) if scene.plain]
    hard = [i for i, scene in enumerate(scenes) if scene.hard]
    started, saved_at, total = time.monotonic(), time.monotonic(), plan.minutes * 60
    losses: list[float] = []
    with Progress() as progress, (folder / "loss.jsonl").open("a") as log:
        bar = progress.add_task("denoiser", total=total, completed=spent_before)
        while (spent := spent_before + time.monotonic() - started) < total:
            picked, captions = _lesson(scenes, plain, hard, rng, plan)
            ids = tokens(tokenizer, captions).to(plan.device)
            clean = latents[picked].to(plan.device)
            t = _times(plan.batch, noise).to(plan.device)
            dirt = torch.randn(clean.shape, generator=noise).to(plan.device)
            mixed = torch.lerp(clean, dirt, t[:, None, None, None])
            states = networks["text"](ids).last_hidden_state
            seen = forward(mixed.to(working, memory_format=torch.channels_last), t * 1000, states).sample
            loss = (seen.float() - (dirt - clean)).square().mean()
            loss.backward()
            masters.step(_rate(step, spent / total, plan), min(plan.average, (step + 1) / (step + 10)))
            losses.append(float(loss.detach()))
            step += 1
            if step % 50 == 0:
                row = {"step": step, "seconds": round(spent), "loss": round(sum(losses) / len(losses), 5)}
                losses.clear()
                log.write(json.dumps(row) + "\n")
                log.flush()
                progress.update(bar, completed=spent, description=f"denoiser step {step} loss {row['loss']}")
            if time.monotonic() - saved_at > 300:
                saved_at = time.monotonic()
                _save(folder, masters, spent, step)
    _save(folder, masters, total, step)
    done: dict[str, nn.Module] = {"unet": build(latents.shape[-1]), "text": type(text)(text.config)}
    masters.copy_average(done)
    return done


def _times(count: int, noise: torch.Generator) -> torch.Tensor:
    """Times from 0 (clean) to 1 (noise), most of them noisy: one in eighteen is above 0.95, where the background's
    colour is decided. Plain logit-normal times have one in six hundred there, and backgrounds were never learned."""
    # One time from each of `count` equal parts, so that no batch leans to one side.
    even = (torch.arange(count) + torch.rand(count, generator=noise)) / count
    shifted = torch.sigmoid(1.3 * torch.special.ndtri(even.clamp(1e-6, 1 - 1e-6)) + 0.9)
    return torch.where(torch.rand(count, generator=noise) < 0.3, even, shifted)


def _save(folder: Path, masters: Masters, spent: float, step: int) -> None:
    half = folder / "state.part"
    torch.save({"masters": masters.state(), "spent": spent, "step": step}, half)
    half.rename(folder / "state.pt")


def _rate(step: int, share: float, plan: Plan) -> float:
    """Share of the learning rate: a rise over `warm_up` steps, level, then a cosine to a hundredth."""
    if step < plan.warm_up:
        return (step + 1) / plan.warm_up
    late = max(0.0, (share - plan.decay_from) / (1 - plan.decay_from))
    return 0.01 + 0.99 * (1 - late) ** 1.5


def _lesson(
    scenes: list[Scene], plain: list[int], hard: list[int], rng: random.Random, plan: Plan
) -> tuple[list[int], list[str]]:
    """Which pictures a batch shows, and what is said of each."""
    picked, captions = list[int](), list[str]()
    for _ in range(plan.batch):
        chance, number = rng.random(), rng.randrange(len(scenes))
        if chance < plan.foreign and plain:
            number, words = rng.choice(plain), foreign(rng)
        elif chance < plan.foreign + plan.unguided:
            words = ""
        else:
            if rng.random() < plan.hard and hard:
                number = rng.choice(hard)
            words = decorated(caption(scenes[number], rng), rng)
        picked.append(number)
        captions.append(words)
    return picked, captions
