"""What needs a CUDA GPU; `make gpu`."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prometheus_client import REGISTRY

import tiny
from bananastand.diffusion import Engine, GenerationRequest, encode
from bananastand.diffusion.cuda import Switches
from bananastand.diffusion.loading import best_device
from training.fruitstand import evaluate, oracle, prompts

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU that torch can see"),
]


def test_the_gpu_is_chosen() -> None:
    assert best_device() == "cuda"


def test_the_embedded_model_paints_what_held_out_prompts_say_in_half_precision() -> None:
    engine = Engine.load("fruitstand")
    assert engine.device.startswith("cuda")
    cases = prompts.cases(24, seed=123)
    right = 0
    for case in cases:
        request = GenerationRequest.parse({"prompt": case.prompt, "seed": case.seed}, engine.model)
        picture = engine.paint(request).pictures[0].image
        right += evaluate.right(case, oracle.read(np.asarray(picture)))["all"]

    assert right >= 20


def test_the_same_seed_gives_the_same_bytes() -> None:
    engine = Engine.load("fruitstand")
    request = GenerationRequest.parse({"prompt": "a pear", "seed": 3}, engine.model)

    assert encode(engine.paint(request).pictures[0].image, "png") == encode(
        engine.paint(request).pictures[0].image, "png"
    )


FAMILIES = [tiny.stable_diffusion, tiny.stable_diffusion_xl, tiny.stable_diffusion_3, tiny.flux]
NONE = Switches(**{field.name: False for field in fields(Switches)})


def levels(engine: Engine, **body: Any) -> np.ndarray:
    request = GenerationRequest.parse({"prompt": "a pear", "seed": 3, **body}, engine.model)
    return np.asarray(engine.paint(request).pictures[0].image).astype(int)


@pytest.mark.parametrize("make", FAMILIES)
@pytest.mark.parametrize("switch", ["pinned", "graphs", "cudnn_attention", "compile"])
def test_an_acceleration_changes_nothing(make: Any, switch: str, tmp_path: Path) -> None:
    pipeline = make(tmp_path).to("cuda")
    before = levels(Engine(tiny.model_file(), pipeline, acceleration=NONE))

    engine = Engine(tiny.model_file(), pipeline, acceleration=replace(NONE, **{switch: True}))

    for _ in range(3):  # recorded, then replayed
        assert np.abs(levels(engine) - before).max() <= (0 if switch in ("pinned", "graphs") else 2)
    assert engine.family.precision == "float32"


@pytest.mark.parametrize("make", FAMILIES)
def test_with_all_accelerations_a_picture_is_the_same_in_a_batch(make: Any, tmp_path: Path) -> None:
    engine = Engine(tiny.model_file(), make(tmp_path).to("cuda"))
    alone = [levels(engine, seed=seed, num_inference_steps=2 + seed % 4) for seed in range(12)]

    bodies = [{"prompt": "a pear", "seed": seed, "num_inference_steps": 2 + seed % 4} for seed in range(12)]
    jobs = [engine.submit(GenerationRequest.parse(body, engine.model)) for body in bodies]

    for job, expected in zip(jobs, alone, strict=True):
        assert (np.asarray(job.result(60).pictures[0].image) == expected).all()


def test_fp8_paints_nearly_the_same_and_is_named(tmp_path: Path) -> None:
    pipeline = tiny.flux(tmp_path).to("cuda", torch.bfloat16)
    before = levels(Engine(tiny.model_file(), pipeline, acceleration=NONE))

    engine = Engine(tiny.model_file(), pipeline, acceleration=replace(Switches(), fp8=True))

    assert engine.family.precision == "float8"
    assert np.abs(levels(engine) - before).mean() <= 4


def test_the_memory_of_the_gpu_is_a_metric(tmp_path: Path) -> None:
    engine = Engine(tiny.model_file(), tiny.stable_diffusion(tmp_path).to("cuda"))

    held = REGISTRY.get_sample_value(
        "bananastand_gpu_memory_bytes", {"device": str(engine.family.device), "state": "allocated"}
    )
    assert held
    assert held > 0


@pytest.mark.parametrize("make", [tiny.stable_diffusion, tiny.stable_diffusion_xl])
def test_a_picture_equals_the_stock_pipelines(make: Any, tmp_path: Path) -> None:
    pipeline = make(tmp_path).to("cuda")
    pipeline.set_progress_bar_config(disable=True)
    engine = Engine(tiny.model_file(), pipeline)
    request = GenerationRequest.parse({"prompt": "a pear", "seed": 3}, engine.model)
    stock = pipeline(
        "a pear",
        num_inference_steps=4,
        guidance_scale=4.0,
        width=32,
        height=32,
        generator=torch.Generator("cpu").manual_seed(3),
        output_type="np",
    ).images[0]

    painted = np.asarray(engine.paint(request).pictures[0].image).astype(int)

    assert np.abs(painted - np.round(stock * 255)).max() <= 1
