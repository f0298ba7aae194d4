"""Chooses CUDA accelerations and puts them around a family's denoiser."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .attention import PreferredAttention
from .graphs import Graphed

__all__ = ["Switches", "accelerate"]


@dataclass(frozen=True)
class Switches:
    """Accelerations for CUDA. All but `fp8` are lossless and on by default.

    Attributes:
        compile: Compile the repeated blocks and keep them on disk between starts; needs a C compiler.
        cudnn_attention: Use cuDNN's attention where it is faster.
        graphs: Record one CUDA graph for each shape and batch size.
        pinned: Copy noise and pictures through pinned memory.
        fp8: 8-bit linear layers, which change the picture; responses name the precision.
    """

    compile: bool = True
    cudnn_attention: bool = True
    graphs: bool = True
    pinned: bool = True
    fp8: bool = False

    @classmethod
    def from_environment(cls) -> Switches:
        """Read BANANASTAND_ACCELERATION: names with commas between; "all", the default, means the lossless ones.

        Raises:
            ValueError: It names an unknown switch.
        """
        names = [name.strip() for name in os.environ.get("BANANASTAND_ACCELERATION", "all").lower().split(",")]
        known = {field.name: bool(field.default) for field in dataclasses.fields(cls)}
        if unknown := [name for name in names if name not in (*known, "all", "none", "")]:
            raise ValueError(
                f"BANANASTAND_ACCELERATION names {unknown[0]!r}; all, none or any of {', '.join(known)} are known"
            )
        lossless = "all" in names or names == [""]
        return cls(**{name: name in names or (lossless and default) for name, default in known.items()})


def accelerate(family: Any, switches: Switches) -> None:
    """Wrap `family.denoiser` in what is switched on, from the inside outwards."""
    family.pinned = switches.pinned
    has_blocks = bool(getattr(family.denoiser, "_repeated_blocks", None))
    if switches.fp8 and has_blocks:
        from .fp8 import use_fp8

        use_fp8(family.denoiser)
        family.precision = "float8"
    if switches.compile and has_blocks:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(_cache_folder()))
        family.denoiser.compile_repeated_blocks(dynamic=False)
    if switches.cudnn_attention:
        family.denoiser = PreferredAttention(family.denoiser)
    if switches.graphs:
        family.denoiser = Graphed(family.denoiser)


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bananastand" / "inductor"
