"""What a model answers to an input: pictures, or the errors that its own validation gives.

Text-to-image models of the catalogue hold their input to the schema that fal publishes for them; any other model
ignores what it cannot read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ..drawing.pictures import Recipe
from ..falai.state import catalogue
from .pictures import MEDIA_TYPES, data_url, drawable_size

__all__ = ["ImageSize", "Outcome", "failed", "output_of", "produce"]

SIZES = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
MOST_PICTURES = 4  # of one input, where the catalogue has no number of its own
SHORT_SIDE = 1024  # pixels, where an aspect ratio is requested
PICTURES = ("text-to-image", "image-to-image")
ERROR_PAGE = "https://docs.fal.ai/errors#"

Side = Annotated[int, Field(gt=0, le=14_142)]  # pixels; fal's schema of image_size


class ImageSize(BaseModel):
    """A size in pixels."""

    width: Side = 512
    height: Side = 512


class _PictureOptions(BaseModel):
    """What the mock reads of an input beside the prompt; everything else is ignored."""

    negative_prompt: str = ""
    image_size: (
        ImageSize
        | Literal["square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"]
        | None
    ) = None
    aspect_ratio: str | None = Field(default=None, pattern=r"^(auto|[1-9]\d?:[1-9]\d?)$")
    num_images: int = Field(default=1, ge=1)
    seed: int | None = None
    output_format: Literal["jpeg", "png", "webp"] = "jpeg"
    sync_mode: bool = False

    @field_validator("num_images")
    @classmethod
    def _check_number(cls, number: int, info: ValidationInfo[int]) -> int:
        """Refuse more pictures than the model makes of one input."""
        if number > info.context:
            text = "Input should be less than or equal to {le}"
            raise PydanticCustomError("less_than_equal", text, {"le": info.context})
        return number


class _TextInput(_PictureOptions):
    """The input of a text-to-image model."""

    prompt: str


class _EditInput(_PictureOptions):
    """The input of an image-to-image model."""

    image_url: str
    prompt: str = ""


class _AnyInput(_PictureOptions):
    """The input of a model that the catalogue lacks."""

    prompt: str = ""


_PictureInput = _TextInput | _EditInput | _AnyInput


@dataclass
class Outcome:
    """What a run ended with.

    Attributes:
        status: The status of the result, 200 for a success.
        body: The output, or the error.
        pictures: Recipe and format of each picture.
        inline: Whether the pictures are data URLs in the output (sync_mode).
        units: Billed units.
    """

    status: int
    body: dict[str, Any]
    pictures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    inline: bool = False
    units: float = 0.0


def failed(status: int, detail: Any, error_type: str | None = None) -> Outcome:
    """Return the outcome of a run that gave no output."""
    return Outcome(status, {"detail": detail} | ({} if error_type is None else {"error_type": error_type}))


def produce(model: str, inputs: dict[str, Any], *, request_id: str, seed: int, seconds: float) -> Outcome:
    """Run a model.

    Args:
        model: The model id.
        inputs: The body of the submission.
        request_id: The request's id, after which the files are named.
        seed: The seed where the input has none.
        seconds: How long the run took.
    """
    row = catalogue().get(model)
    if row is not None and row["category"] not in PICTURES:
        text = f"This mock draws pictures, and {model} makes none: replace its result with one of your own."
        return failed(500, text, "internal_error")
    try:
        read = _read(inputs, row)
    except ValidationError as error:
        return failed(422, _detail(error))
    return _drawn(model, read, request_id, read.seed if read.seed is not None else seed, seconds)


def output_of(row: dict[str, Any], base: str) -> dict[str, Any]:
    """Return the output of a completed request as it is sent.

    Args:
        row: The request.
        base: What the address of each picture begins with. With sync_mode the pictures are drawn into the output
            instead; this takes time.
    """
    body: dict[str, Any] = row["output"]
    if "image" in body:
        return {"image": {**body["image"], "url": base + body["image"]["url"]}}
    if "images" not in body:
        return body
    urls = map(data_url, row["pictures"]) if row["inline"] else (base + image["url"] for image in body["images"])
    return {**body, "images": [{**image, "url": url} for image, url in zip(body["images"], urls, strict=True)]}


def _read(inputs: dict[str, Any], row: Any) -> _PictureInput:
    if row is not None:
        most = row["configuration"].get("max_images", MOST_PICTURES)
        return (_TextInput if row["category"] == "text-to-image" else _EditInput).model_validate(inputs, context=most)
    try:
        return _AnyInput.model_validate(inputs, context=MOST_PICTURES)
    except ValidationError as error:
        unread = {item["loc"][0] for item in error.errors()}
        known = {name: value for name, value in inputs.items() if name not in unread}
        return _AnyInput.model_validate(known, context=MOST_PICTURES)


def _drawn(model: str, read: _PictureInput, request_id: str, seed: int, seconds: float) -> Outcome:
    width, height = _size(read)
    suffix = read.output_format
    recipes = [
        Recipe(read.prompt, read.negative_prompt, seed=seed + number, width=width, height=height)
        for number in range(read.num_images)
    ]
    images = [
        {
            "url": f"/files/b/{request_id}_{number}.{suffix}",
            "width": width,
            "height": height,
            "content_type": MEDIA_TYPES[suffix],
        }
        for number in range(len(recipes))
    ]
    row = catalogue().get(model)
    body: dict[str, Any] = {
        "images": images,
        "timings": {"inference": seconds},
        "seed": seed,
        "has_nsfw_concepts": [False] * len(images),
        "prompt": read.prompt,
    }
    if row is not None and row["category"] == "image-to-image":
        body = {"image": images[0]}
    pictures = [{"recipe": asdict(recipe), "format": suffix} for recipe in recipes]
    megapixels = row is not None and row["unit"] == "megapixels"
    units = len(images) * (-(-width * height // 10**6) if megapixels else 1)
    return Outcome(200, body, pictures, read.sync_mode and "images" in body, float(units))


def _size(read: _PictureInput) -> tuple[int, int]:
    if isinstance(read.image_size, ImageSize):
        return drawable_size(read.image_size.width, read.image_size.height)
    if read.image_size is None and read.aspect_ratio not in (None, "auto"):
        wide, high = (int(side) for side in str(read.aspect_ratio).split(":"))
        unit = SHORT_SIDE / min(wide, high)
        return drawable_size(round(wide * unit), round(high * unit))
    return SIZES[read.image_size or "landscape_4_3"]


def _detail(error: ValidationError) -> list[dict[str, Any]]:
    """The errors as fal's endpoints write them: pydantic's, below `body`, with the page that describes the type."""
    return [
        {
            "loc": ["body", *item["loc"]],
            "msg": item["msg"],
            "type": item["type"],
            "url": ERROR_PAGE + item["type"],
            "input": item["input"],
            **({"ctx": item["ctx"]} if "ctx" in item else {}),
        }
        for item in error.errors()
    ]
