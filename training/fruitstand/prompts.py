"""The prompts of the evaluation: held-out scenes in words, in few words, and a list that names nothing it knows."""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from .scenes import HELD_OUT_PAIRS, NATURAL, UNSAID, Scene, caption, random_scene, test_scene, unsaid_background

FOREIGN: tuple[str, ...] = tuple(tomllib.loads(Path(__file__).with_name("foreign.toml").read_text("utf-8"))["prompts"])


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
