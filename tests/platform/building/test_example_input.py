"""The first call that a repository itself names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.building.example_input import example_input


@pytest.mark.parametrize(
    ("config", "example"),
    [
        ({"version": "1", "example_input": {"prompt": "a cat"}, "example_output": {}}, {"prompt": "a cat"}),
        (
            {
                "version": "1",
                "inputs": [
                    {"name": "prompt", "type": "string", "required": True, "default": "a dog"},
                    {"name": "steps", "type": "number", "required": False, "default": 20},
                    {"name": "seed", "type": "number", "required": False},
                    {"name": "mode", "type": "options", "options": ["fast", "slow"], "required": True},
                    {"name": "size", "type": "number", "required": True},
                ],
            },
            {"prompt": "a dog", "steps": 20, "mode": "fast", "size": 1},
        ),
        ({"version": "1", "example_input": {}}, None),
        ({"version": "1", "example_input": "text", "inputs": "text"}, None),
        ({"inputs": [1, {"no": "name"}]}, None),
        ([], None),
    ],
)
def test_the_example_input_of_both_forms_of_banana_config(config: Any, example: Any, tmp_path: Path) -> None:
    (tmp_path / "banana_config.json").write_text(json.dumps(config))

    assert example_input(tmp_path) == example


def test_a_missing_invalid_or_outside_config_gives_no_example(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    assert example_input(source) is None
    (tmp_path / "outside.json").write_text('{"example_input": {"secret": 1}}')
    (source / "banana_config.json").symlink_to("../outside.json")
    assert example_input(source) is None
    (source / "banana_config.json").unlink()
    (source / "banana_config.json").write_text("{")
    assert example_input(source) is None
