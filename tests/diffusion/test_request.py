"""Requests against a model file: what is filled in, and what is said about each mistake."""

from __future__ import annotations

from typing import Any

import pytest

import tiny
from bananastand.diffusion import GenerationRequest, InvalidRequest

MODEL = tiny.model_file()  # 32 x 32 by default, 16 to 64; 4 steps, 50 at most; guidance to 20; 4 images at most


def refused(body: object) -> tuple[str, str | None, str]:
    with pytest.raises(InvalidRequest) as caught:
        GenerationRequest.parse(body, MODEL)
    return caught.value.code, caught.value.field, caught.value.message


def test_the_model_file_fills_in_absent_fields() -> None:
    request = GenerationRequest.parse({"prompt": "a pear", "seed": 3}, MODEL)

    assert request == GenerationRequest(
        prompt="a pear",
        negative_prompt=None,
        num_inference_steps=4,
        guidance_scale=4.0,
        width=32,
        height=32,
        seed=3,
        num_images=1,
        format="png",
    )


def test_null_means_an_absent_field() -> None:
    request = GenerationRequest.parse({"prompt": "a pear", "seed": 3, "width": None, "format": None}, MODEL)

    assert (request.width, request.format) == (32, "png")


def test_without_a_seed_each_request_has_its_own() -> None:
    seeds = {GenerationRequest.parse({"prompt": "a pear"}, MODEL).seed for _ in range(8)}

    assert len(seeds) == 8
    assert all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ([], "not_an_object", None),
        ("a pear", "not_an_object", None),
        (None, "not_an_object", None),
        (7, "not_an_object", None),
        ({}, "missing_field", "prompt"),
        ({"prompt": None}, "missing_field", "prompt"),
        ({"prompt": 7}, "wrong_type", "prompt"),
        ({"prompt": ["a"]}, "wrong_type", "prompt"),
        ({"prompt": ""}, "out_of_range", "prompt"),
        ({"prompt": "x" * 2001}, "too_long", "prompt"),
        ({"prompt": "\ud83c"}, "invalid_text", "prompt"),
        ({"negative_prompt": "x" * 2001}, "too_long", "negative_prompt"),
        ({"negative_prompt": 1}, "wrong_type", "negative_prompt"),
        ({"num_inference_steps": 0}, "out_of_range", "num_inference_steps"),
        ({"num_inference_steps": 51}, "out_of_range", "num_inference_steps"),
        ({"num_inference_steps": 4.0}, "wrong_type", "num_inference_steps"),
        ({"num_inference_steps": "4"}, "wrong_type", "num_inference_steps"),
        ({"num_inference_steps": True}, "wrong_type", "num_inference_steps"),
        ({"guidance_scale": -0.1}, "out_of_range", "guidance_scale"),
        ({"guidance_scale": 20.1}, "out_of_range", "guidance_scale"),
        ({"guidance_scale": float("nan")}, "out_of_range", "guidance_scale"),
        ({"guidance_scale": float("inf")}, "out_of_range", "guidance_scale"),
        ({"guidance_scale": "7"}, "wrong_type", "guidance_scale"),
        ({"width": 33}, "out_of_range", "width"),
        ({"width": 8}, "out_of_range", "width"),
        ({"width": 72}, "out_of_range", "width"),
        ({"height": 10**40}, "out_of_range", "height"),
        ({"seed": -1}, "out_of_range", "seed"),
        ({"seed": 2**53}, "out_of_range", "seed"),
        ({"seed": 2**53 - 1, "num_images": 2}, "out_of_range", "seed"),
        ({"seed": 1.5}, "wrong_type", "seed"),
        ({"num_images": 0}, "out_of_range", "num_images"),
        ({"num_images": 5}, "out_of_range", "num_images"),
        ({"format": "gif"}, "not_allowed", "format"),
        ({"format": 1}, "wrong_type", "format"),
        ({"format": ["png"]}, "wrong_type", "format"),
        ({"steps": 4}, "unknown_field", "steps"),
        ({"webhook_url": "http://example.com"}, "unknown_field", "webhook_url"),
    ],
)
def test_a_mistake_is_named_with_its_field(body: Any, code: str, field: str | None) -> None:
    if isinstance(body, dict) and body and "prompt" not in body:
        body = {"prompt": "a pear", **body}

    assert refused(body)[:2] == (code, field)


def test_the_message_gives_the_value_and_the_range() -> None:
    assert refused({"prompt": "a", "width": 33})[2] == "width is 33; 16 to 64 in steps of 8 is allowed"
    assert refused({"prompt": "a", "guidance_scale": 21})[2] == "guidance_scale is 21; 0 to 20 is allowed"
    assert refused({"prompt": "a", "format": "gif"})[2] == "format is 'gif'; png, jpeg, webp are allowed"
    assert refused({"prompt": "x" * 2001})[2] == "prompt has 2001 characters; 1 to 2000 are allowed"


def test_all_unknown_fields_are_named_and_the_known_ones_listed() -> None:
    message = refused({"prompt": "a", "steps": 4, "cfg": 7})[2]

    assert message.startswith("unknown fields 'steps', 'cfg'; known fields are prompt, negative_prompt,")


def test_a_long_value_is_cut_short_in_the_message() -> None:
    assert len(refused({"prompt": "a", "format": "g" * 5000})[2]) < 150
    assert "a huge number" in refused({"prompt": "a", "seed": 10**5000})[2]


def test_the_ends_of_each_range_are_allowed() -> None:
    body = {"prompt": "x" * 2000, "num_inference_steps": 50, "guidance_scale": 20, "width": 16, "height": 64}
    request = GenerationRequest.parse({**body, "seed": 2**53 - 4, "num_images": 4, "format": "webp"}, MODEL)

    assert (request.width, request.height, request.guidance_scale, request.num_images) == (16, 64, 20.0, 4)
