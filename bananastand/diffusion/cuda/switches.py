"""Which accelerations are on, and putting them around a family's denoiser."""

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
    """Lossless, and on by default on CUDA.

    compile: the repeated blocks, kept on disk between starts (needs a C compiler). cudnn_attention: where it is
    faster. graphs: one CUDA graph for each shape and number of rows.
    """

    compile: bool = True
    cudnn_attention: bool = True
    graphs: bool = True

    @classmethod
    def from_environment(cls) -> Switches:
        """BANANASTAND_ACCELERATION: names with commas between, "all" (the default) or "none". Raises ValueError."""
        text = os.environ.get("BANANASTAND_ACCELERATION", "all").strip().lower()
        known = [field.name for field in dataclasses.fields(cls)]
        if text in ("all", ""):
            return cls()
        named = [] if text == "none" else [name.strip() for name in text.split(",")]
        if unknown := [name for name in named if name not in known]:
            raise ValueError(
                f"BANANASTAND_ACCELERATION names {unknown[0]!r}; all, none or any of {', '.join(known)} are known"
            )
        return cls(**{name: name in named for name in known})


def accelerate(family: Any, switches: Switches) -> None:
    """Put what is switched on around `family.denoiser`, from the inside outwards."""
    if switches.compile and getattr(family.denoiser, "_repeated_blocks", None):
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(_cache_folder()))
        family.denoiser.compile_repeated_blocks(dynamic=False)
    if switches.cudnn_attention:
        family.denoiser = PreferredAttention(family.denoiser)
    if switches.graphs:
        family.denoiser = Graphed(family.denoiser)


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bananastand" / "inductor"
