"""Estimates the GPU memory that weights need, from their sizes or names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .findings import MemoryEstimate, Weight

__all__ = ["estimate"]

GB = 10**9
BEYOND = 1.25  # activations and the CUDA context, beside the weights
CONTEXT = 600 * 10**6
WHISPER = {"tiny": 1, "base": 1, "small": 2, "medium": 5, "large": 10, "large-v1": 10, "large-v2": 10, "large-v3": 10,
           "turbo": 6}  # fmt: skip
# Bytes at inference in half precision, where the hub was not asked. As their cards and papers say.
KNOWN = (
    (r"stable-diffusion-xl|sdxl", 9.0),
    (r"stable-diffusion|openjourney|dreamlike|anything-v|riffusion|instruct-pix2pix|waifu", 4.0),
    (r"controlnet", 1.0),
    (r"(?:^|[-_/])(\d+(?:\.\d+)?)b(?:[-_]|$)", None),  # parameters in the name: 2 bytes each
    (r"clip-vit-large|blip", 2.0),
    (r"clip-vit-base|bert|distil|gpt2|t5-(?:small|base)|MiniLM|opt-125m", 1.0),
)
SMALL_PARTS = re.compile(r"vae|safety-checker|tokenizer|scheduler|lora", re.IGNORECASE)


def estimate(weights: Sequence[Weight], halved: bool) -> MemoryEstimate:
    """Return the estimate for all weights; `halved`: the code loads them in half precision."""
    total, from_hub, named, unknown = 0.0, 0, 0, 0
    for weight in weights:
        if weight.size and weight.source == "hub":
            total += weight.size / (2 if halved else 1)
            from_hub += 1
        elif (guess := _known(weight)) is not None:
            total += guess * GB
            named += 1
        else:
            unknown += 1
    if not total:
        return MemoryEstimate(None, "no weights whose size is known")
    parts = [f"{from_hub} by size on the hub"] * bool(from_hub) + [f"{named} by name"] * bool(named)
    parts += [f"{unknown} unknown"] * bool(unknown)
    half = ", in half precision" if halved and from_hub else ""
    return MemoryEstimate(int(total * BEYOND + CONTEXT), f"an estimate from {', '.join(parts)}{half}")


def _known(weight: Weight) -> float | None:
    if weight.source == "whisper":
        return WHISPER.get(weight.name.removesuffix(".en"))
    if SMALL_PARTS.search(weight.name):
        return 0.3
    for pattern, gigabytes in KNOWN:
        if found := re.search(pattern, weight.name, re.IGNORECASE):
            return gigabytes if gigabytes is not None else 2.0 * float(found[1])
    return None
