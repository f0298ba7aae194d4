"""Switches and caches; what they do on a GPU is in test_gpu.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from bananastand.diffusion import Engine, GenerationRequest
from bananastand.diffusion.active_picture import Conditioning
from bananastand.diffusion.cuda import Switches, accelerate
from bananastand.diffusion.cuda.fp8 import Fp8Linear
from bananastand.diffusion.families.prompt_cache import PromptCache
from bananastand.diffusion.responses import response_body

NONE = Switches(compile=False, cudnn_attention=False, graphs=False, pinned=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", Switches()),
        ("", Switches()),
        ("none", NONE),
        ("graphs, compile", replace(NONE, graphs=True, compile=True)),
        ("all,fp8", replace(Switches(), fp8=True)),
        ("FP8", replace(NONE, fp8=True)),
    ],
)
def test_switches_are_named(monkeypatch: pytest.MonkeyPatch, text: str, expected: Switches) -> None:
    monkeypatch.setenv("BANANASTAND_ACCELERATION", text)

    assert Switches.from_environment() == expected


def test_fp8_is_off_by_default() -> None:
    assert Switches().fp8 is False


def test_an_unknown_switch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANANASTAND_ACCELERATION", "graphs,warp")

    with pytest.raises(ValueError, match="names 'warp'; all, none or any of compile, cudnn_attention, graphs"):
        Switches.from_environment()


def test_fp8_is_close_and_named_and_exact_in_batches(tmp_path: Path) -> None:
    engine = Engine(tiny.model_file(), tiny.stable_diffusion(tmp_path))
    requests = [GenerationRequest.parse({"prompt": "two pears", "seed": seed}, engine.model) for seed in range(4)]
    before = [pixels(engine, request) for request in requests]

    accelerate(engine.family, replace(NONE, fp8=True))  # on a CPU too, which has the kernel

    layers = [type(part) for part in engine.family.pipeline.unet.modules()]
    alone = [pixels(engine, request) for request in requests]
    together = [job.result().pictures[0].image for job in map(engine.submit, requests)]
    assert layers.count(Fp8Linear) >= 8
    assert engine.family.precision == "float8"
    assert response_body(engine, engine.paint(requests[0]))["precision"] == "float8"
    assert 0 < max(np.abs(a - b).max() for a, b in zip(before, alone, strict=True)) <= 16  # of 255 levels
    assert all((a == np.asarray(b)).all() for a, b in zip(alone, together, strict=True))


def pixels(engine: Engine, request: GenerationRequest) -> np.ndarray:
    return np.asarray(engine.paint(request).pictures[0].image).astype(int)


def test_the_prompt_cache_keeps_the_last_used() -> None:
    cache, read = PromptCache(size=2), list[str]()

    def get(key: str) -> None:
        cache.get(key, lambda: read.append(key) or Conditioning(torch.zeros(1, 1, 1), {}, 1.0))

    for key in "aabacab":
        get(key)

    assert "".join(read) == "abcb"


def test_the_same_words_are_read_once_and_paint_the_same(tmp_path: Path) -> None:
    engine = Engine(tiny.model_file(), tiny.stable_diffusion(tmp_path))
    read = list[str]()
    encode = engine.family.encode
    engine.family.encode = lambda request: read.append(request.prompt) or encode(request)

    def paint(**fields: object) -> bytes:
        request = GenerationRequest.parse({"prompt": "two pears", "seed": 7, **fields}, engine.model)
        return engine.paint(request).pictures[0].image.tobytes()

    assert paint() == paint()
    assert len(read) == 1
    assert paint(negative_prompt="a plum") != paint(guidance_scale=2)
    assert len(read) == 3
