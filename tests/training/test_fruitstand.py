"""The embedded model: its files, its scores, and that it paints what the prompt says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from bananastand.diffusion import Engine, GenerationRequest, encode, find_model
from training.fruitstand import evaluate, oracle, prompts

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "models" / "fruitstand"
WEIGHTS = sorted(FOLDER.rglob("*.safetensors"))


def scores() -> dict:
    return json.loads((FOLDER / "scores.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load("fruitstand", device="cpu")


def test_each_file_is_small_and_all_together_are() -> None:
    sizes = [path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()]

    assert max(sizes) <= 16_000_000
    assert sum(sizes) <= 20_000_000


def test_the_weights_are_those_of_the_model_file() -> None:
    digests = {
        path.relative_to(FOLDER).as_posix(): f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in WEIGHTS
    }

    assert digests == find_model("fruitstand").files


def test_the_scores_are_those_of_these_weights_and_stand_in_the_readme() -> None:
    digests = {path.relative_to(FOLDER).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in WEIGHTS}

    assert scores()["weights"] == digests
    assert scores()["prompts"] >= 500
    assert evaluate.markdown(scores()) in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_pictures_show_what_held_out_prompts_say(engine: Engine) -> None:
    """Two dozen of the prompts of the full evaluation, painted by our loop with the card's defaults."""
    test_cases = prompts.cases(24, seed=123)
    bodies = [{"prompt": case.prompt, "seed": case.seed} for case in test_cases]
    painted = [engine.paint(GenerationRequest.parse(body, engine.model)).pictures[0].image for body in bodies]

    right = [
        evaluate.right(case, oracle.read(np.asarray(image)))["all"]
        for case, image in zip(test_cases, painted, strict=True)
    ]

    assert sum(right) >= 20, [case.prompt for case, good in zip(test_cases, right, strict=True) if not good]


def test_the_prompt_of_the_readme_gives_two_red_apples_on_blue(engine: Engine) -> None:
    body = {"prompt": "two small red apples on a blue background", "seed": 7}
    picture = engine.paint(GenerationRequest.parse(body, engine.model)).pictures[0]

    seen = oracle.read(np.asarray(picture.image))

    assert (seen.count, seen.size, seen.colour, seen.fruit, seen.background) == (2, "small", "red", "apple", "blue")


def test_the_same_seed_gives_the_same_bytes(engine: Engine) -> None:
    request = GenerationRequest.parse({"prompt": "a pear", "seed": 3, "num_images": 2}, engine.model)
    first, second = (engine.paint(request).pictures for _ in range(2))

    assert [encode(p.image, "png") for p in first] == [encode(p.image, "png") for p in second]


def test_any_text_is_painted(engine: Engine) -> None:
    for prompt in (" ", "🍕", "東京", "x" * 2000, "two\nred\tapples"):
        request = GenerationRequest.parse({"prompt": prompt, "num_inference_steps": 1}, engine.model)
        assert engine.paint(request).pictures[0].image.size == (128, 128)


def test_every_size_the_card_allows_is_painted(engine: Engine) -> None:
    size = engine.model.size
    for width, height in (size.min, size.max, (size.min[0], size.max[1])):
        body = {"prompt": "a pear", "num_inference_steps": 1, "width": width, "height": height}
        request = GenerationRequest.parse(body, engine.model)
        assert engine.paint(request).pictures[0].image.size == (width, height)
