"""The oracle: reads drawings rightly, knows nothing of the project, and sees no fruit where there is none."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import numpy as np
import pytest

from training.fruitstand import oracle


def test_oracle_reads_forty_drawings() -> None:
    pytest.importorskip("resvg_py")
    from training.fruitstand import draw, scenes

    rng = random.Random(4711)
    for _ in range(40):
        scene = scenes.test_scene(rng)
        reading = oracle.read(draw.render(scene, rng))
        seen = (reading.count, reading.size, reading.colour, reading.fruit, reading.position, reading.background)
        assert seen == (scene.count, scene.size, scene.colour, scene.fruit, scene.position, scene.background)
        assert reading.alike
        assert reading.found


def test_oracle_reads_a_blue_banana() -> None:
    pytest.importorskip("resvg_py")
    from training.fruitstand import draw, scenes

    scene = scenes.Scene(2, "small", "blue", "banana", "left", "yellow")
    reading = oracle.read(draw.render(scene, random.Random(1)))
    assert (reading.count, reading.size, reading.colour, reading.fruit) == (2, "small", "blue", "banana")
    assert (reading.position, reading.background) == ("left", "yellow")


def test_two_kinds_of_fruit_are_not_alike() -> None:
    pytest.importorskip("resvg_py")
    from training.fruitstand import draw, scenes

    left = draw.render(scenes.Scene(1, "small", "red", "apple", "left", "white"), random.Random(1))
    right = draw.render(scenes.Scene(1, "small", "blue", "pear", "right", "white"), random.Random(1))
    reading = oracle.read(np.concatenate([left[:, :64], right[:, 64:]], axis=1))
    assert reading.count == 2
    assert not reading.alike


def test_oracle_imports_nothing_of_the_project(root: Path) -> None:
    tree = ast.parse((root / "training" / "fruitstand" / "oracle.py").read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno} imports from this project"
            names.add(str(node.module).split(".")[0])
    assert not names & {"training", "bananastand", "bananastand_mocks", "importlib", "resvg_py", "diffusers"}


def test_even_picture_shows_nothing_on_its_background() -> None:
    reading = oracle.read(np.full((128, 128, 3), (134, 185, 240), np.uint8))
    assert (reading.count, reading.fruit, reading.background) == (0, "", "blue")
    assert not reading.found


def test_noise_is_no_fruit() -> None:
    reading = oracle.read(np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8))
    assert not reading.found


def test_plain_square_is_no_fruit() -> None:
    picture = np.full((128, 128, 3), 244, np.uint8)
    picture[40:80, 50:90] = (224, 53, 47)
    reading = oracle.read(picture)
    assert (reading.count, reading.colour, reading.fruit) == (1, "red", "nothing")
    assert not reading.found


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected uint8 of shape \(128, 128, 3\)"):
        oracle.read(np.zeros((64, 64, 3), np.uint8))


def test_weights_are_small() -> None:
    assert oracle.WEIGHTS.stat().st_size < 400_000
