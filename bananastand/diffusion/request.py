"""What a caller asks for, checked against a card. Knows nothing of torch or HTTP."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, cast, get_args

from .model_file import Card
from .errors import InvalidRequest

__all__ = ["ImageFormat", "GenerationRequest", "FIELDS", "MAX_PROMPT", "MAX_SEED"]

ImageFormat = Literal["png", "jpeg", "webp"]

MAX_PROMPT = 2_000  # characters, of the negative prompt too
MAX_SEED = 2**53 - 1  # the largest integer that every JSON reader keeps exactly


@dataclass(frozen=True)
class GenerationRequest:
    """One valid request: sizes in pixels; picture i is painted with seed + i."""

    prompt: str
    negative_prompt: str | None
    num_inference_steps: int
    guidance_scale: float
    width: int
    height: int
    seed: int
    num_images: int
    format: ImageFormat

    @classmethod
    def parse(cls, body: object, card: Card) -> GenerationRequest:
        """Check a JSON value against the card's limits and fill in its defaults.

        null stands for an absent field. Raises InvalidRequest that names the field, the value and what is allowed.
        """
        if not isinstance(body, Mapping):
            raise InvalidRequest(
                "not_an_object", f'the body must be a JSON object such as {{"prompt": "..."}}, not {_show(body)}'
            )
        given = {k: v for k, v in cast("Mapping[str, Any]", body).items() if v is not None}
        if unknown := [name for name in given if name not in FIELDS]:
            raise InvalidRequest(
                "unknown_field", f"unknown field{_named(unknown)}; known fields are {', '.join(FIELDS)}", unknown[0]
            )
        if "prompt" not in given:
            raise InvalidRequest("missing_field", f"prompt is required: 1 to {MAX_PROMPT} characters of text", "prompt")
        size, step = card.size, card.size.multiple_of
        images = _whole(given, "num_images", 1, 1, card.images.max)
        return cls(
            prompt=_text(given, "prompt", 1),
            negative_prompt=_text(given, "negative_prompt", 0) if "negative_prompt" in given else None,
            num_inference_steps=_whole(given, "num_inference_steps", card.steps.default, 1, card.steps.max),
            guidance_scale=_number(given, "guidance_scale", card.guidance.default, 0.0, card.guidance.max),
            width=_whole(given, "width", size.default[0], size.min[0], size.max[0], step),
            height=_whole(given, "height", size.default[1], size.min[1], size.max[1], step),
            seed=_whole(given, "seed", secrets.randbelow(2**32), 0, MAX_SEED + 1 - images),
            num_images=images,
            format=_format(given),
        )


FIELDS = tuple(field.name for field in fields(GenerationRequest))


def _text(given: Mapping[str, Any], field: str, shortest: int) -> str:
    value = given[field]
    if not isinstance(value, str):
        raise InvalidRequest("wrong_type", f"{field} must be text, not {_show(value)}", field)
    if not shortest <= len(value) <= MAX_PROMPT:
        raise InvalidRequest(
            "out_of_range" if len(value) < shortest else "too_long",
            f"{field} has {len(value)} characters; {shortest} to {MAX_PROMPT} are allowed",
            field,
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(
            "invalid_text", f"{field} holds half of a surrogate pair, which is no character", field
        ) from None
    return value


def _whole(given: Mapping[str, Any], field: str, default: int, low: int, high: int, multiple_of: int = 1) -> int:
    value = given.get(field, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequest("wrong_type", f"{field} must be a whole number, not {_show(value)}", field)
    if not low <= value <= high or value % multiple_of:
        steps = f" in steps of {multiple_of}" if multiple_of > 1 else ""
        raise InvalidRequest("out_of_range", f"{field} is {_show(value)}; {low} to {high}{steps} is allowed", field)
    return value


def _number(given: Mapping[str, Any], field: str, default: float, low: float, high: float) -> float:
    value = given.get(field, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidRequest("wrong_type", f"{field} must be a number, not {_show(value)}", field)
    if not (low <= value <= high and math.isfinite(value)):
        raise InvalidRequest("out_of_range", f"{field} is {_show(value)}; {low:g} to {high:g} is allowed", field)
    return float(value)


def _format(given: Mapping[str, Any]) -> ImageFormat:
    value = given.get("format", "png")
    if value not in get_args(ImageFormat):
        code = "not_allowed" if isinstance(value, str) else "wrong_type"
        allowed = ", ".join(get_args(ImageFormat))
        raise InvalidRequest(code, f"format is {_show(value)}; {allowed} are allowed", "format")
    return cast(ImageFormat, value)


def _named(names: list[str]) -> str:
    return f"{'s' if len(names) > 1 else ''} {', '.join(_show(name) for name in names[:8])}"


def _show(value: object) -> str:
    """The value as JSON would write it, cut short: it goes into an answer."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 128:
        return "a huge number"
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
