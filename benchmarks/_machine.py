"""Describes the machine of a measurement."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def machine(device: str, threads: int) -> dict[str, Any]:
    """Return processor, GPU, cores, threads, versions and the measured commit."""
    import torch

    gpu = {"card": torch.cuda.get_device_name(), "cuda": torch.version.cuda} if device.startswith("cuda") else {}
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "device": device,
        **gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": metadata.version("diffusers"),
        "commit": commit(),
    }


def command(module: str) -> str:
    """Return the command that was typed."""
    return " ".join(["python -m", module, *sys.argv[1:]])


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the ordered values lie."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def processor() -> str:
    """Return the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str | None:
    """Return the commit that is checked out, or None."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None
