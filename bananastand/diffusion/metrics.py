"""The engine's Prometheus metrics, in the global registry; the host of the engine serves them."""

from __future__ import annotations

import torch
from prometheus_client import Gauge, Histogram

__all__ = ["BATCH_SIZE", "GPU_MEMORY", "QUEUE", "STEP", "WAIT", "watch_memory"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

QUEUE = Gauge("bananastand_engine_requests", "Requests in the engine: waiting, painting or being decoded")
WAIT = Histogram("bananastand_engine_wait_seconds", "From a request's arrival to its first turn", buckets=_SECONDS)
STEP = Histogram("bananastand_engine_step_seconds", "One forward of the denoiser", buckets=_SECONDS)
BATCH_SIZE = Histogram("bananastand_engine_rows", "Pictures that shared a forward", buckets=(1, 2, 4, 8, 16, 32))
GPU_MEMORY = Gauge("bananastand_gpu_memory_bytes", "Memory of the GPU, as torch has it", ("device", "state"))


def watch_memory(device: torch.device) -> None:
    """Let each scrape read the memory that tensors use on a CUDA device, and the memory that torch holds."""
    name = str(device)
    GPU_MEMORY.labels(name, "allocated").set_function(lambda: torch.cuda.memory_allocated(device))
    GPU_MEMORY.labels(name, "reserved").set_function(lambda: torch.cuda.memory_reserved(device))
