"""The prompts of the evaluation: held-out scenes in words, in few words, and a list that names nothing it knows."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from .scenes import HELD_OUT_PAIRS, NATURAL, UNSAID, Scene, caption, random_scene, test_scene, unsaid_background

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


def brief_cases(count: int, seed: int) -> list[Case]:
    """`count` held-out scenes whose prompts leave the place unsaid, and often other parts too, as people do."""
    rng, found = random.Random(seed), list[Case]()
    while len(found) < count:
        scene = replace(random_scene(rng), position=UNSAID["position"])
        if rng.random() < 0.5:
            scene = replace(scene, colour=NATURAL[scene.fruit])
        if rng.random() < 0.5:
            scene = replace(scene, background=unsaid_background(scene.colour))
        prompt = caption(scene, rng)
        placed = any(word in prompt for word in ("cent", "middle"))
        if scene.held_out and scene.colour != scene.background and not placed:
            found.append(Case(prompt, scene, seed + len(found)))
    return found
