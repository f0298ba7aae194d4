"""Which GPUs a torch can drive, and which GPUs this machine has."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence

from .base_images import table, version_numbers

__all__ = ["capabilities_of", "cuda_of", "drives", "lowest_torch", "machine_capabilities", "unsupported"]


def machine_capabilities() -> tuple[str, ...]:
    """Return the compute capabilities of this machine's GPUs, such as ("9.0",); empty without a GPU."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return ()
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return ()
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    return tuple(sorted({line.strip() for line in lines if re.fullmatch(r"\s*\d+\.\d+\s*", line)}, key=version_numbers))


def cuda_of(torch: str, base: str | None = None) -> str | None:
    """Return the CUDA version that a torch is built for.

    Args:
        torch: A version; a local part such as +cu113 decides.
        base: The CUDA of the base image that brings this torch; None for the wheel of the package index.

    >>> cuda_of("1.11.0+cu113"), cuda_of("1.11.0", "11.3"), cuda_of("1.11.0"), cuda_of("2.0.1+cpu")
    ('11.3', '11.3', '10.2', None)
    """
    if local := re.search(r"\+cu(\d{2})(\d)$", torch):
        return f"{local[1]}.{local[2]}"
    if "+" in torch:
        return None
    if base is not None:
        return base
    rows: dict[str, str] = table()["torch_cuda"]
    found = [cuda for first, cuda in rows.items() if version_numbers(first) <= version_numbers(torch)]
    return found[-1] if found else None


def capabilities_of(cuda: str, torch: str | None = None) -> tuple[str, ...]:
    """Return the compute capabilities that torch wheels of a CUDA version are compiled for."""
    rows: dict[str, list[str]] = table()["capabilities"]
    fitting = [row for row in sorted(rows, key=version_numbers) if version_numbers(row) <= version_numbers(cuda)]
    if not fitting:
        return ()
    changed: dict[str, list[str]] = table()["capabilities_since"].get(fitting[-1], {})
    since = [
        first
        for first in sorted(changed, key=version_numbers)
        if torch and version_numbers(first) <= version_numbers(torch)
    ]
    return tuple(changed[since[-1]] if since else rows[fitting[-1]])


def drives(cuda: str, capability: str, torch: str | None = None) -> bool:
    """Whether wheels of a CUDA version run on a GPU: code runs on its own major capability from its minor on."""
    major, minor = version_numbers(capability)
    compiled = (version_numbers(supported) for supported in capabilities_of(cuda, torch))
    return any(numbers[0] == major and numbers[1] <= minor for numbers in compiled)


def lowest_torch(capability: str) -> tuple[str, str] | None:
    """Return the lowest torch that drives a GPU and its CUDA version, or None."""
    rows: dict[str, list[str]] = table()["cuda_builds"]
    found = [(first, cuda) for cuda, (first, _) in rows.items() if drives(cuda, capability, first)]
    return min(found, key=lambda build: version_numbers(build[0]), default=None)


def unsupported(torch: str, cuda: str | None, capabilities: Sequence[str]) -> str | None:
    """Return why a torch cannot drive this machine's GPUs, with the lowest that can, or None."""
    if cuda is None:
        return None
    for capability in capabilities:
        if drives(cuda, capability, torch):
            continue
        known = capabilities_of(cuda, torch)
        lowest = lowest_torch(capability)
        way = (
            f"the lowest that can is torch {lowest[0]} with CUDA {lowest[1]}: set it in requirements.txt, or in "
            f'bananastand.toml: [build] pins = ["torch>={lowest[0]}"]'
            if lowest
            else "no published torch is compiled for it"
        )
        return (
            f"torch {torch} with CUDA {cuda} cannot drive this machine's GPU (compute capability {capability}): it is "
            f"compiled for {_range(known)}; {way}"
        )
    return None


def _range(known: Iterable[str]) -> str:
    names = [f"sm_{capability.replace('.', '')}" for capability in known]
    return f"{names[0]} to {names[-1]}" if names else "no GPU"
