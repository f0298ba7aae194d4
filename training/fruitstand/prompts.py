"""The prompts of the evaluation: held-out scenes in words, and a fixed list that names nothing the model knows."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .scenes import HELD_OUT_PAIRS, Scene, caption, test_scene

FOREIGN = (
    "",
    " ",
    "a castle",
    "my cat",
    "a dog",
    "a red car",
    "the Eiffel Tower at night",
    "portrait of a woman, oil on canvas",
    "an astronaut riding a horse on the moon",
    "a city street in the rain",
    "two robots playing chess",
    "a dragon",
    "mountains",
    "a blue house by the sea",
    "Hello, world!",
    "42",
    "?",
    "asdf qwer zxcv",
    "🙂",
    "🍕🍔🌮",
    "une forêt en automne",
    "ein Schloss im Schwarzwald",
    "un gato durmiendo en la ventana",
    "東京の夜景",
    "красивый закат над рекой",
    "قلعة قديمة",
    "하늘을 나는 새",
    "SELECT * FROM users;",
    "<b>bold</b>",
    "{'prompt': null}",
    "https://example.com/picture.png",
    "LOUD WORDS IN CAPITALS",
    "a pineapple",
    "mango and papaya",
    "vegetables in a kitchen",
    "a glass of water on a wooden table",
    "nothing",
    "seven",
    "green",
    "on the left",
    "large",
    "background",
    "cinematic, 8k, highly detailed, trending on artstation",
    "a black and white photograph of an old train station",
    "sixteen purple triangles dancing with a square",
    "the sound of music",
    "quantum chromodynamics",
    "my grandmother's garden in spring, with roses and bees",
    "a very long prompt about a ship that sails across the sea to an island where a king lives in a golden tower and "
    "every evening watches the sun go down behind the hills while the birds sing and the whole city falls asleep",
    "!!!!!!!!!!!!!!!!!!!!",
)


@dataclass(frozen=True)
class Case:
    """A prompt, the scene it asks for, and the seed its picture starts from."""

    prompt: str
    scene: Scene
    seed: int

    @property
    def unseen_pair(self) -> bool:
        """True if no training picture showed this fruit in this colour."""
        return (self.scene.colour, self.scene.fruit) in HELD_OUT_PAIRS


def cases(count: int, seed: int) -> list[Case]:
    """`count` held-out scenes with all their parts in words."""
    rng = random.Random(seed)
    scenes = [test_scene(rng) for _ in range(count)]
    return [Case(caption(scene, rng, complete=True), scene, seed + i) for i, scene in enumerate(scenes)]
