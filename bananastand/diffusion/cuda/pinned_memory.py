"""Copies through pinned memory, which the GPU reads and writes by itself while the CPU goes on."""

from __future__ import annotations

import torch

__all__ = ["to_device", "to_host"]


def to_device(tensor: torch.Tensor, device: torch.device, pinned: bool) -> torch.Tensor:
    """Copy a tensor to the device, in the order of its current stream."""
    return tensor.pin_memory().to(device, non_blocking=True) if pinned else tensor.to(device)


def to_host(tensor: torch.Tensor, pinned: bool) -> torch.Tensor:
    """Copy a tensor to the host, after the device's current stream has computed it."""
    if not pinned:
        return tensor.cpu()
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return host
