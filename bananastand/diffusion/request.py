"""What a caller asks for, checked against the limits of a model file."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from .errors import InvalidRequest
from .model_file import ModelFile

__all__ = ["FIELDS", "MAX_PROMPT", "MAX_SEED", "GenerationRequest", "ImageFormat"]

ImageFormat = Literal["png", "jpeg", "webp"]

MAX_PROMPT = 2_000  # characters, of the negative prompt too
MAX_SEED = 2**53 - 1  # the largest integer that every JSON reader keeps exactly
KINDS = {"string_type": "text", "int_type": "a whole number", "float_type": "a number"}


def _check_text(value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> str:
    shortest = 1 if info.field_name == "prompt" else 0
    if isinstance(value, str) and not shortest <= len(value) <= MAX_PROMPT:
        message = f"{info.field_name} has {len(value)} characters; {shortest} to {MAX_PROMPT} are allowed"
        raise _refusal("out_of_range" if len(value) < shortest else "too_long", message)
    text = validate(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        message = f"{info.field_name} holds half of a surrogate pair, which is no character"
        raise _refusal("invalid_text", message) from None
    return text


def _check_range(value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    number = value if type(value) is int else validate(value)
    if info.context is not None:
        low, high, step = info.context[info.field_name]
        if not low <= number <= high or (step > 1 and number % step):
            ends = f"{low:g} to {high:g}" if isinstance(high, float) else f"{low} to {high}"
            steps = f" in steps of {step}" if step > 1 else ""
            raise _refusal("out_of_range", f"{info.field_name} is {_show(value)}; {ends}{steps} is allowed")
    return validate(value)


Text = Annotated[str, WrapValidator(_check_text)]
Whole = Annotated[int, WrapValidator(_check_range)]
Number = Annotated[float, WrapValidator(_check_range)]


class GenerationRequest(BaseModel):
    """One valid request. Picture i is painted with seed + i.

    Attributes:
        prompt: 1 to MAX_PROMPT characters.
        negative_prompt: What the pictures must not show, at most MAX_PROMPT characters.
        num_inference_steps: Denoising steps.
        guidance_scale: How closely to follow the prompt; 0 and 1 mean no guidance.
        width: Pixels.
        height: Pixels.
        seed: 0 to MAX_SEED.
        num_images: Number of pictures.
        format: Format of the image files.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    prompt: Text
    negative_prompt: Text | None
    num_inference_steps: Whole
    guidance_scale: Number
    width: Whole
    height: Whole
    seed: Whole
    num_images: Whole
    format: ImageFormat

    @classmethod
    def parse(cls, body: object, model: ModelFile) -> GenerationRequest:
        """Check a JSON value against a model's limits and fill in its defaults.

        Args:
            body: The JSON value; null stands for an absent field.
            model: The model that paints.

        Raises:
            InvalidRequest: It names the field, the value and what is allowed.
        """
        if not isinstance(body, Mapping):
            raise InvalidRequest(
                "not_an_object", f'the body must be a JSON object such as {{"prompt": "..."}}, not {_show(body)}'
            )
        fields = {name: value for name, value in cast("Mapping[str, Any]", body).items() if value is not None}
        if unknown := [name for name in fields if name not in FIELDS]:
            names = f"{'s' if len(unknown) > 1 else ''} {', '.join(_show(name) for name in unknown[:8])}"
            raise InvalidRequest(
                "unknown_field", f"unknown field{names}; known fields are {', '.join(FIELDS)}", unknown[0]
            )
        if "prompt" not in fields:
            raise InvalidRequest("missing_field", f"prompt is required: 1 to {MAX_PROMPT} characters of text", "prompt")
        fields = _defaults(model) | fields
        try:
            return cls.model_validate(fields, context=_limits(model, fields["num_images"]))
        except ValidationError as error:
            raise _invalid_request(error) from None


FIELDS = tuple(GenerationRequest.model_fields)


def _defaults(model: ModelFile) -> dict[str, Any]:
    return {
        "negative_prompt": None,
        "num_inference_steps": model.steps.default,
        "guidance_scale": model.guidance.default,
        "width": model.size.default[0],
        "height": model.size.default[1],
        "seed": secrets.randbelow(2**32),
        "num_images": 1,
        "format": "png",
    }


def _limits(model: ModelFile, num_images: object) -> dict[str, tuple[float, float, float]]:
    """Return the least and the greatest value of each number, and its step. Every picture's seed is in range."""
    size, images = model.size, num_images if type(num_images) is int else 1
    return {
        "num_inference_steps": (1, model.steps.max, 1),
        "guidance_scale": (0.0, model.guidance.max, 1),
        "width": (size.min[0], size.max[0], size.multiple_of),
        "height": (size.min[1], size.max[1], size.multiple_of),
        "seed": (0, MAX_SEED + 1 - images, 1),
        "num_images": (1, model.images.max, 1),
    }


def _refusal(code: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("refusal", "{message}", {"code": code, "message": message})


def _invalid_request(error: ValidationError) -> InvalidRequest:
    """Return the error about the first wrong field; the number of images goes first, as the seed depends on it."""
    found = min(error.errors(include_url=False), key=lambda found: found["loc"][0] != "num_images")
    field, value, context = str(found["loc"][0]), found["input"], found.get("ctx", {})
    match found["type"]:
        case "refusal":
            return InvalidRequest(context["code"], context["message"], field)
        case "literal_error":
            code = "not_allowed" if isinstance(value, str) else "wrong_type"
            message = f"{field} is {_show(value)}; {', '.join(get_args(ImageFormat))} are allowed"
            return InvalidRequest(code, message, field)
        case other:
            return InvalidRequest("wrong_type", f"{field} must be {KINDS[other]}, not {_show(value)}", field)


def _show(value: object) -> str:
    """Return the value as JSON would write it, cut short: it goes into a response."""
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
