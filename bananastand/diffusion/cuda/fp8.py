"""Linear layers in 8-bit floats, for Hopper and later: half the memory, not lossless."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import ScalingType, scaled_mm  # torch 2.10 and later

__all__ = ["Fp8Linear", "use_fp8"]

LARGEST = torch.finfo(torch.float8_e4m3fn).max


class Fp8Linear(torch.nn.Module):
    """A Linear whose weight and input are e4m3, each row scaled by its own largest value.

    A row's scale depends on that row alone, so a picture does not change with the rest of the batch.
    """

    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        weight, scale = _scaled(linear.weight.detach())
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale.t())
        self.bias: torch.nn.Parameter | None = linear.bias

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Apply the layer: (..., in) to (..., out)."""
        rows, scale = _scaled(states.reshape(-1, states.shape[-1]))
        row_wise: Any = ScalingType.RowWise
        out = scaled_mm(
            rows, self.weight.t(), scale, row_wise, self.scale, row_wise, output_dtype=torch.bfloat16
        )  # the GPU's kernel for scaled rows writes nothing else
        out = out.to(states.dtype) if self.bias is None else out.to(states.dtype) + self.bias
        return out.view(*states.shape[:-1], -1)


def use_fp8(denoiser: Any) -> int:
    """Replace the linear layers of the denoiser's repeated blocks that fit the kernel; return how many."""
    replaced = 0
    repeated = [block for block in denoiser.modules() if type(block).__name__ in denoiser._repeated_blocks]
    for parent in {id(part): part for block in repeated for part in block.modules()}.values():
        for name, child in parent.named_children():
            if type(child) is torch.nn.Linear and child.in_features % 16 == child.out_features % 16 == 0:
                setattr(parent, name, Fp8Linear(child))
                replaced += 1
    return replaced


def _scaled(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows (N, width) as e4m3, and their scales, (N, 1) float32."""
    scale = (rows.abs().amax(-1, keepdim=True).float() / LARGEST).clamp(min=1e-12)
    return (rows / scale).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn), scale
