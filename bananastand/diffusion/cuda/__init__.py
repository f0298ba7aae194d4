"""What makes the denoiser faster on a CUDA card without changing what it says. Each switch stands alone."""

from __future__ import annotations

from .switches import Switches, accelerate

__all__ = ["Switches", "accelerate"]
