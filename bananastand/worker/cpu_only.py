"""Makes "cuda" mean the CPU in torch, for an app that names a GPU on a machine without one.

It happens only on request (BANANASTAND_CPU=1, `bananastand deploy --cpu`), and only where torch sees no GPU.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["redirect_cuda_to_cpu"]

HARMLESS = ("set_device", "synchronize", "empty_cache", "manual_seed", "manual_seed_all", "ipc_collect")


def redirect_cuda_to_cpu(torch: Any) -> None:
    """Patch a torch module that sees no GPU. It must be called on the thread that runs the app."""
    if torch.cuda.is_available():
        return
    sys.stderr.write("torch sees no GPU: cuda means the CPU here, as --cpu asks\n")
    for name in HARMLESS:
        setattr(torch.cuda, name, _nothing)
    _patch_generators(torch)
    load = torch.load

    def load_on_cpu(*args: Any, **known: Any) -> Any:
        return load(*args, **dict(known, map_location="cpu"))

    torch.load = load_on_cpu
    try:
        from torch.overrides import TorchFunctionMode  # type: ignore[import-not-found, unused-ignore]
    except ImportError:  # torch before 1.13
        for kind in (torch.Tensor, torch.nn.Module):
            kind.cuda = _itself
            kind.to = _on_cpu(kind.to)
        return

    class OnCpu(TorchFunctionMode):  # type: ignore[misc, unused-ignore]
        """Intercepts each call of torch's functions and methods, also those of torch itself."""

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function is torch.Tensor.cuda:
                return args[0]
            moved, named = _to_cpu(args, kwargs or {})
            return function(*moved, **named)

    OnCpu().__enter__()


def _nothing(*args: Any, **known: Any) -> None:
    return None


def _itself(self: Any, *args: Any, **known: Any) -> Any:
    return self


def _patch_generators(torch: Any) -> None:
    original = torch.Generator

    class Generator(original):  # type: ignore[misc, unused-ignore]
        def __new__(cls, device: Any = "cpu") -> Any:
            return original.__new__(cls, _cpu(device))

        def __init__(self, device: Any = "cpu") -> None:
            pass

    torch.Generator = Generator


def _on_cpu(original: Any) -> Any:
    def to(self: Any, *args: Any, **known: Any) -> Any:
        moved, named = _to_cpu(args, known)
        return original(self, *moved, **named)

    return to


def _to_cpu(args: tuple[Any, ...], known: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    moved = tuple(_cpu(argument) for argument in args)
    return moved, (dict(known, device=_cpu(known["device"])) if "device" in known else known)


def _cpu(value: Any) -> Any:
    """Return the CPU for a CUDA device, and any other value as it is."""
    if isinstance(value, str):
        return "cpu" if value == "cuda" or value.startswith("cuda:") else value
    return "cpu" if getattr(value, "type", None) == "cuda" and type(value).__name__ == "device" else value
