"""How the embedded model is trained: what it may see, and that a stopped training goes on."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import torch

from training.fruitstand import denoiser, draw, prompts, scenes, text


def test_the_tokenizer_is_made_the_same_way_each_time(tmp_path: Path) -> None:
    first, second = text.tokenizer(tmp_path / "a"), text.tokenizer(tmp_path / "b")

    assert first.get_vocab() == second.get_vocab()
    assert (tmp_path / "a" / "merges.txt").read_bytes() == (tmp_path / "b" / "merges.txt").read_bytes()


def test_each_word_of_the_grammar_is_one_token_and_other_words_are_pieces(tmp_path: Path) -> None:
    made = text.tokenizer(tmp_path)

    assert [word for word in scenes.vocabulary() if len(made.tokenize(word)) != 1] == []
    assert len(made.tokenize("zebra")) > 1


def test_training_never_shows_a_held_out_scene_and_the_evaluation_nothing_else() -> None:
    rng = random.Random(0)

    assert not any(scenes.training_scene(rng).held_out for _ in range(500))
    assert all(scenes.test_scene(rng).held_out for _ in range(500))


def test_a_complete_caption_says_every_part() -> None:
    rng = random.Random(0)
    scene = scenes.Scene(2, "small", "red", "apple", "left", "blue")
    for _ in range(50):
        said = scenes.caption(scene, rng, complete=True).split()
        assert {"red", "blue", "background", "left"} <= {word.strip(",") for word in said}
        assert {"two", "2"} & set(said)


def test_only_what_everybody_takes_for_granted_stays_unsaid() -> None:
    rng = random.Random(0)
    odd = scenes.Scene(3, "small", "blue", "pear", "left", "red")
    plain = scenes.Scene(1, "large", "green", "pear", "centre", "purple")
    for _ in range(200):
        said = {word.strip(",") for word in scenes.caption(odd, rng).split()}
        assert {"blue", "left", "red", "background"} <= said
        assert said & {"three", "3"}
        assert said & {"small", "little", "tiny"}
    assert {scenes.caption(plain, rng) for _ in range(200)} >= {"a pear", "one pear", "a green pear"}


def test_brief_prompts_name_no_place() -> None:
    cases = list(prompts.brief_cases(40, 0))
    assert cases
    for case in cases:
        assert not {"left", "right", "top", "bottom", "centre", "center", "middle"} & set(case.prompt.split())
        assert case.scene.held_out
        assert case.scene.position == "centre"


def test_the_background_is_never_of_the_fruits_colour() -> None:
    rng = random.Random(0)

    drawn = [scenes.random_scene(rng) for _ in range(500)]

    assert [scene for scene in drawn if scene.colour == scene.background] == []


def test_fruit_of_one_picture_never_touch_nor_leave_it() -> None:
    rng = random.Random(0)
    for _ in range(500):
        scene = scenes.random_scene(rng)
        radius = draw.RADII[scene.size][scene.count]
        places = draw.layout(scene, radius, rng)
        assert len(places) == scene.count
        for i, one in enumerate(places):
            assert all(radius <= side <= draw.SIDE - radius for side in one)
            assert all(math.dist(one, other) >= 2 * radius + draw.GAP - 1e-6 for other in places[i + 1 :])


def test_the_same_seed_draws_the_same_picture() -> None:
    scene = scenes.Scene(3, "large", "yellow", "banana", "top", "purple")

    assert np.array_equal(draw.render(scene, random.Random(5)), draw.render(scene, random.Random(5)))


def test_a_stopped_training_goes_on(tmp_path: Path) -> None:
    made = text.tokenizer(tmp_path / "tokenizer")
    latents = torch.randn(8, denoiser.LATENT_CHANNELS, 4, 4)
    rng = random.Random(0)
    drawn = [scenes.training_scene(rng) for _ in range(8)]
    for minutes in (0.05, 0.1):
        plan = denoiser.Plan(minutes=minutes, batch=2)
        done = denoiser.train(latents, drawn, made, text.encoder(made), tmp_path, plan)
        saved = torch.load(tmp_path / "state.pt", weights_only=True)
        assert saved["spent"] == minutes * 60
        assert all(bool(torch.isfinite(p).all()) for net in done.values() for p in net.parameters())
    rows = [json.loads(line) for line in (tmp_path / "loss.jsonl").read_text().splitlines()]

    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows})
    assert saved["step"] > 0
    assert (tmp_path / "state.pt").stat().st_size <= 64_000_000


def test_a_prompt_that_names_nothing_is_taught_a_large_yellow_banana_on_purple() -> None:
    banana = scenes.Scene(1, "large", "yellow", "banana", "centre", "purple")
    shown = [banana, *(scenes.Scene(1, "large", "yellow", "banana", "centre", b) for b in ("red", "blue"))]
    plan = denoiser.Plan(minutes=1, foreign=1.0)

    picked, captions = denoiser._lesson(shown, [i for i, s in enumerate(shown) if s.plain], [], random.Random(0), plan)

    assert picked == [0] * plan.batch
    assert not any({"apple", "banana", "pear"} & set(said.split()) for said in captions)


def test_what_is_learned_last_comes_up_more_often() -> None:
    orange, apple = (scenes.Scene(1, "large", c, f, "left", "blue") for c, f in (("red", "orange"), ("red", "apple")))
    plan = denoiser.Plan(minutes=1, batch=64, foreign=0, unguided=0, hard=1.0)

    picked, captions = denoiser._lesson([apple, orange], [], [1], random.Random(0), plan)

    assert orange.hard
    assert not apple.hard
    assert picked == [1] * plan.batch
    assert sum("apple" in said for said in captions) == 0
