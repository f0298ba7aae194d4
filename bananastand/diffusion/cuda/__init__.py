"""Makes the denoiser faster on a CUDA GPU. Each switch works without the others."""

from __future__ import annotations

from .switches import Switches, accelerate

__all__ = ["Switches", "accelerate"]
