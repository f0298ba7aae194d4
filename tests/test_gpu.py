"""What only a CUDA card can show; `make gpu`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from bananastand.diffusion import Engine, GenerationRequest, encode
from bananastand.diffusion.loading import best_device
from training.fruitstand import evaluate, oracle

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card that torch can see"),
]


def test_the_card_is_chosen() -> None:
    assert best_device() == "cuda"


def test_the_embedded_model_paints_what_held_out_prompts_say_in_half_precision() -> None:
    engine = Engine.load("fruitstand")
    assert engine.device.startswith("cuda")
    asked = evaluate.cases(24, seed=123)
    right = 0
    for case in asked:
        request = GenerationRequest.parse({"prompt": case.prompt, "seed": case.seed}, engine.card)
        picture = engine.paint(request).pictures[0].image
        right += evaluate.right(case, oracle.read(np.asarray(picture)))["all"]

    assert right >= 20


def test_the_same_seed_gives_the_same_bytes() -> None:
    engine = Engine.load("fruitstand")
    request = GenerationRequest.parse({"prompt": "a pear", "seed": 3}, engine.card)

    assert encode(engine.paint(request).pictures[0].image, "png") == encode(
        engine.paint(request).pictures[0].image, "png"
    )


@pytest.mark.parametrize("make", [tiny.stable_diffusion, tiny.stable_diffusion_xl])
def test_a_picture_equals_the_stock_pipelines(make: Any, tmp_path: Path) -> None:
    pipeline = make(tmp_path).to("cuda")
    pipeline.set_progress_bar_config(disable=True)
    engine = Engine(tiny.card(), pipeline)
    request = GenerationRequest.parse({"prompt": "a pear", "seed": 3}, engine.card)
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
