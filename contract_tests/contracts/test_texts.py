"""Texts and sums that the mutants showed nobody to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from asked import BANANA_KEY, placed, stall, valid

PAPER: list[tuple[str, str, Any, str]] = [
    ("create_diagram", "image_model", "dall-e",
     "image_model must be one of: nano-banana-pro, google/nano-banana, nano-banana-2, gpt-image-2-text-to-image"),
    ("create_diagram", "image_resolution", "8K", "image_resolution must be one of: 1K, 2K, 4K"),
    ("optimize_prompt", "diagram_type", "pie", "diagram_type must be one of: methodology, statistical_plot"),
    ("create_composite", "label_position", "left", "label_position must be one of: top, bottom"),
    ("create_diagram", "aspect_ratio", "7:5",
     "aspect_ratio must be one of: 16:9, 1:1, 21:9, 2:3, 3:2, 3:4, 4:3, 4:5, 5:4, 9:16, auto"),
    ("create_plot", "vlm_provider", "nobody",
     "Unknown VLM provider: nobody. Available: apimart, gemini, kie, openrouter"),
    ("create_diagram", "output_formats", ["svg"], "output_formats.0: output_formats may hold png"),
    ("create_plot", "output_formats", ["gif"], "output_formats.0: output_formats may hold pdf, png, svg"),
    ("create_diagram", "iterations", 0, "iterations: Input should be greater than or equal to 1"),
    ("create_diagram", "iterations", 11, "iterations: Input should be less than or equal to 10"),
    ("create_composite", "source_task_ids", ["task_a"], "source_task_ids: List should have at least 2 items"),
    ("create_plot", "intent", 5, "intent: Input should be a valid string"),
    ("create_composite", "source_task_ids", 5, "source_task_ids: Input should be a valid list"),
]  # fmt: skip
PAPER_QUERY = [
    ("get_task_image", "format", "gif", "format must be one of: png, svg, pdf"),
    ("list_history", "status", "done", "status must be one of: pending, running, completed, failed"),
]


@pytest.mark.parametrize(("name", "field", "wrong", "text"), PAPER)
def test_what_paperbanana_says_of_a_wrong_field(name: str, field: str, wrong: Any, text: str) -> None:
    answer = stall("paperbanana")(placed(valid("paperbanana", name), "body", (field,), wrong))

    assert (answer.status_code, answer.json()) == (422, {"detail": text})


@pytest.mark.parametrize(("name", "field", "wrong", "text"), PAPER_QUERY)
def test_what_paperbanana_says_of_a_wrong_parameter(name: str, field: str, wrong: str, text: str) -> None:
    answer = stall("paperbanana")(placed(valid("paperbanana", name), field, (), wrong))

    assert (answer.status_code, answer.json()) == (422, {"detail": text})


def test_the_days_and_the_models_of_bananas_usage_add_up() -> None:
    banana = stall("bananadev")
    banana.begin()
    before = usage(banana)
    for _ in range(2):
        assert banana(valid("bananadev", "run")).status_code == 200

    after = usage(banana)
    seconds = after["summary"]["computeSeconds"]
    assert after["summary"]["runs"] - before["summary"]["runs"] == 2
    assert sum(each["computeSeconds"] for each in after["daily"]) == pytest.approx(seconds)
    assert sum(each["computeSeconds"] for each in after["models"]) == pytest.approx(seconds)
    for name in ("runs", "succeeded", "failed"):
        assert sum(each[name] for each in after["daily"]) == after["summary"][name]
    assert sum(each["runs"] for each in after["models"]) == after["summary"]["runs"]


def usage(banana: Any) -> Any:
    return banana(valid("bananadev", "get_usage")).json()["result"]


def test_a_run_url_answers_what_is_no_json_as_flask_does() -> None:
    banana = stall("banana-native")
    banana.begin()
    project = banana.resolved(valid("banana-native", "call_project")).path["project"]
    headers = {"x-banana-api-key": BANANA_KEY, "content-type": "application/json"}

    answer = banana.send("POST", f"/run/{project}/", content=b"{", headers=headers)

    assert (answer.status_code, answer.content) == (400, b"")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


BO = {
    "character_name": "Bo",
    "base_prompt": "a banana in a hat",
    "description": "an old one",
    "negative_prompt": "dull",
    "system_instruction": "be kind",
    "preferred_aspect_ratio": "16:9",
    "reference_image_ids": [42, 43],
    "tags": ["fruit"],
}


def test_a_character_comes_back_with_all_it_was_given() -> None:
    bananas = stall("gobananas")
    bananas.begin()
    made = bananas(replace(valid("gobananas", "create_character"), body=BO)).json()
    path = {"id": made["id"]}
    got = bananas(replace(valid("gobananas", "get_character"), path=path)).json()
    changed = bananas(replace(valid("gobananas", "update_character"), path=path, body={"tags": ["hat"]})).json()
    listed = bananas(valid("gobananas", "list_characters")).json()

    assert {name: made[name] for name in BO} == {name: got[name] for name in BO} == BO
    assert {name: changed[name] for name in BO} == {**BO, "tags": ["hat"]}
    assert listed["characters"] == listed["data"]
    assert [{name: each[name] for name in BO} for each in listed["data"] if each["id"] == made["id"]] == [
        {**BO, "tags": ["hat"]}
    ]
    for each in (made, got, changed, listed["data"][-1]):
        assert [picture["id"] for picture in each["reference_images"]] == [42, 43]
