"""Switches and caches; what they do on a card is in test_gpu.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tiny
from bananastand.diffusion import Engine, GenerationRequest
from bananastand.diffusion.active import Conditioning
from bananastand.diffusion.cuda import Switches
from bananastand.diffusion.families.prompts import PromptCache


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", Switches(compile=True, cudnn_attention=True, graphs=True)),
        ("", Switches(compile=True, cudnn_attention=True, graphs=True)),
        ("none", Switches(compile=False, cudnn_attention=False, graphs=False)),
        ("graphs, compile", Switches(compile=True, cudnn_attention=False, graphs=True)),
    ],
)
def test_switches_are_named(monkeypatch: pytest.MonkeyPatch, text: str, expected: Switches) -> None:
    monkeypatch.setenv("BANANASTAND_ACCELERATION", text)

    assert Switches.from_environment() == expected


def test_an_unknown_switch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANANASTAND_ACCELERATION", "graphs,warp")

    with pytest.raises(ValueError, match="names 'warp'; all, none or any of compile, cudnn_attention, graphs"):
        Switches.from_environment()


def test_the_prompt_cache_keeps_the_last_used() -> None:
    cache, read = PromptCache(size=2), list[str]()

    def get(key: str) -> None:
        cache.get(key, lambda: read.append(key) or Conditioning(torch.zeros(1, 1, 1), {}, 1.0))

    for key in "aabacab":
        get(key)

    assert "".join(read) == "abcb"


def test_the_same_words_are_read_once_and_paint_the_same(tmp_path: Path) -> None:
    engine = Engine(tiny.card(), tiny.stable_diffusion(tmp_path))
    read = list[str]()
    encode = engine.family.encode  # pyright: ignore[reportAttributeAccessIssue]
    engine.family.encode = lambda request: read.append(request.prompt) or encode(request)  # pyright: ignore[reportAttributeAccessIssue]

    def paint(**fields: object) -> bytes:
        request = GenerationRequest.parse({"prompt": "two pears", "seed": 7, **fields}, engine.card)
        return engine.paint(request).pictures[0].image.tobytes()

    assert paint() == paint()
    assert len(read) == 1
    assert paint(negative_prompt="a plum") != paint(guidance_scale=2)
    assert len(read) == 3
