"""Large models on a GPU: stock diffusers, stock diffusers compiled, and ours in both modes, with random weights.

Ours is measured with every acceleration off, with each alone, with all that are lossless, and with fp8 beside them.

`python -m benchmarks.gpu --only sdxl-30` measures one model (under 8 minutes on an H200) and merges it into
results/gpu.json. `--tiny` tries the code on a CPU with shrunken models and writes nothing unless --out is given.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from bananastand.diffusion import Engine, GenerationRequest
from bananastand.diffusion.cuda import Switches
from bananastand.diffusion.families import family_of
from bananastand.diffusion.model_file import Guidance, Images, ModelFile, Size, Steps

from . import tables
from ._architectures import ARCHITECTURES, Architecture
from ._machine import machine

BATCHES = (1, 2, 4)
NONE = Switches(**{field.name: False for field in fields(Switches)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(ARCHITECTURES), nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--pictures", type=int, default=5, help="timed for each way (default: %(default)s)")
    parser.add_argument("--tiny", action="store_true", help="shrunken models, on the CPU")
    parser.add_argument("--out", type=Path, default=None, help="default: results/gpu.json, none with --tiny")
    options = parser.parse_args()
    if not options.tiny and not torch.cuda.is_available():
        parser.error("there is no CUDA GPU that torch can see; --tiny tries the code on a CPU")
    out = options.out or (None if options.tiny else tables.RESULTS / "gpu.json")
    for name in options.only:
        measured = measure(ARCHITECTURES[name], options)
        print(json.dumps({name: measured}, indent=1))
        if out:
            known = json.loads(out.read_text()) if out.exists() else {}
            out.write_text(json.dumps({**known, name: measured}, indent=1) + "\n")


def measure(architecture: Architecture, options: argparse.Namespace) -> dict[str, Any]:
    """Each way in turn on one set of weights; compiling comes last among the stock ways, as it cannot be undone."""
    device = "cpu" if options.tiny else "cuda"
    dtype = torch.float32 if options.tiny else architecture.dtype
    if options.tiny:
        architecture = replace(architecture, side=64, steps=min(3, architecture.steps))
    pipeline = prepared(architecture, options.tiny, device, dtype)
    flops = forward_flops(pipeline, architecture)
    peak = matmul_peak(device, dtype)
    ways: dict[str, Any] = {}

    def record(way: str, paint: Callable[[int], torch.Tensor | Any], pictures: int = 1) -> None:
        ways[way] = timed(paint, options.pictures, architecture.steps, flops, peak, pictures)
        print(f"{way}: {ways[way]}", file=sys.stderr, flush=True)

    record("stock", lambda seed: stock(pipeline, architecture, seed))
    expected = stock(pipeline, architecture, 0)
    plain = Engine(model_file(architecture), pipeline, acceleration=NONE)
    difference = int(abs(expected.astype(int) - ours(plain, architecture, [0])[0].astype(int)).max())
    for name in ("none", "pinned", "cudnn_attention", "graphs"):
        engine = Engine(model_file(architecture), pipeline, acceleration=NONE if name == "none" else only(name))
        record(f"ours, {name} alone", lambda seed, engine=engine: ours(engine, architecture, [seed]))
    if not options.tiny:
        denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
        if getattr(denoiser, "_repeated_blocks", None):
            denoiser.compile_repeated_blocks(dynamic=False)
            record("stock, compiled", lambda seed: stock(pipeline, architecture, seed))
    exact = Engine(model_file(architecture), pipeline)
    record("ours, exact", lambda seed: ours(exact, architecture, [seed]))
    alone = [ours(exact, architecture, [seed])[0] for seed in range(4)]
    company = ours(exact, architecture, list(range(4)))
    fast = Engine(model_file(architecture), pipeline, mode="fast", batch_size=max(BATCHES))
    for batch in BATCHES:
        record(f"ours, fast, {batch} at once", lambda seed, n=batch: ours(fast, architecture, list(range(n))), batch)
    if not options.tiny:  # last: its layers stay
        eight = Engine(model_file(architecture), pipeline, acceleration=replace(Switches(), fp8=True))
        record("ours, exact, fp8", lambda seed: ours(eight, architecture, [seed]))
    return {
        "machine": machine(device, torch.get_num_threads()),
        "side": architecture.side,
        "steps": architecture.steps,
        "dtype": str(dtype).removeprefix("torch."),
        "tflop_per_step": round(flops / 1e12, 3),
        "matmul_peak_tflops": round(peak / 1e12, 1),
        "largest_difference_to_stock_in_levels": difference,
        "bytes_that_differ_in_company": int(sum((a != b).sum() for a, b in zip(alone, company, strict=True))),
        "ways": ways,
    }


def only(name: str) -> Switches:
    """One acceleration and no other."""
    return replace(NONE, **{name: True})


def prepared(architecture: Architecture, tiny: bool, device: str, dtype: torch.dtype) -> Any:
    """Random weights, small enough that nothing overflows."""
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    with torch.device(device):
        pipeline = architecture.make(tiny)
    torch.set_default_dtype(torch.float32)
    pipeline.to(device, dtype)
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.eval()
                for name, weight in part.named_parameters():
                    if weight.ndim > 1:
                        weight.normal_(0, 0.02)
                    elif name.endswith("bias"):
                        weight.zero_()
    words = architecture.words(pipeline)
    pipeline.encode_prompt = lambda *args, **kwargs: words
    return pipeline


def model_file(architecture: Architecture) -> ModelFile:
    side = architecture.side
    return ModelFile(
        name="random",
        source=Path("random.toml"),
        pipeline="RandomPipeline",
        path=Path("random"),
        licence="none",
        memory_gb=1,
        steps=Steps(default=architecture.steps, max=architecture.steps),
        size=Size(default=(side, side), multiple_of=8, max=(side, side), min=(side, side)),
        guidance=Guidance(default=architecture.guidance, max=20),
        images=Images(max=4),
    )


def stock(pipeline: Any, architecture: Architecture, seed: int) -> Any:
    """The stock pipeline's picture: uint8, (height, width, 3)."""
    pixels = pipeline(
        "random",
        num_inference_steps=architecture.steps,
        guidance_scale=architecture.guidance,
        width=architecture.side,
        height=architecture.side,
        generator=torch.Generator("cpu").manual_seed(seed),
        output_type="np",
    ).images[0]
    return (pixels * 255).round().astype("uint8")


def ours(engine: Engine, architecture: Architecture, seeds: list[int]) -> list[Any]:
    """Our pictures of these seeds, all asked for at once."""
    import numpy as np

    bodies = [{"prompt": "random", "seed": seed} for seed in seeds]
    jobs = [engine.submit(GenerationRequest.parse(body, engine.model)) for body in bodies]
    return [np.asarray(job.result().pictures[0].image) for job in jobs]


def timed(
    paint: Callable[[int], Any], times: int, steps: int, flops: float, peak: float, pictures: int
) -> dict[str, float]:
    """p50 and p99 in seconds of `paint`, the rate of its forwards, and memory; after two to warm up."""
    for seed in range(2):
        paint(seed)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    taken = list[float]()
    for seed in range(times):
        started = time.perf_counter()
        paint(seed)
        taken.append(time.perf_counter() - started)
    median = statistics.median(taken)
    rate = flops * steps * pictures / median
    return {
        "p50_s": round(median, 4),
        "p99_s": round(max(taken), 4),
        "pictures_per_second": round(pictures / median, 3),
        "ms_per_step": round(median / steps * 1000, 2),
        "tflops": round(rate / 1e12, 1),
        "share_of_peak": round(rate / peak, 3),
        "memory_gb": round(torch.cuda.max_memory_allocated() / 2**30, 2) if torch.cuda.is_available() else 0.0,
    }


def forward_flops(pipeline: Any, architecture: Architecture) -> float:
    """Of one step's forward of one picture, guidance included."""
    from torch.utils.flop_counter import FlopCounterMode

    family: Any = family_of(pipeline)
    request = GenerationRequest.parse({"prompt": "random", "seed": 0}, model_file(architecture))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        family.predict(family.begin(request)[:1])
    return float(counter.get_total_flops())


def matmul_peak(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a large square product on this device: what a share of peak is a share of."""
    side = 512 if device == "cpu" else 8192
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(10):
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(10):
            a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 10 * 2 * side**3 / (time.perf_counter() - started))
    gc.collect()
    return best


if __name__ == "__main__":
    main()
