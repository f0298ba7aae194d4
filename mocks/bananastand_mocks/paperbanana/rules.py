"""Rules on parameters that span fields or settings, with their texts.

Texts of the aspect ratio, the VLM provider, data_json and the layout are the provider's; the others are ours, since no
document has them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.json_body import TooDeep, parse

__all__ = [
    "ASPECT_RATIOS",
    "CHOICES",
    "VLM_PROVIDERS",
    "check_data",
    "check_image_options",
    "check_layout",
    "formats",
    "layout_error",
]

ASPECT_RATIOS = ("auto", "1:1", "5:4", "2:3", "3:2", "3:4", "4:5", "4:3", "9:16", "16:9", "21:9")
VLM_PROVIDERS = ("gemini", "openrouter", "kie", "apimart")
NANO, GPT = "google/nano-banana", "gpt-image-2-text-to-image"
CHOICES = {
    "image_model": ("nano-banana-pro", NANO, "nano-banana-2", GPT),
    "image_resolution": ("1K", "2K", "4K"),
    "diagram_type": ("methodology", "statistical_plot"),
    "label_position": ("top", "bottom"),
    "format": ("png", "svg", "pdf"),
    "status": ("pending", "running", "completed", "failed"),
}
MOST_PANELS = 100

Body = dict[str, Any]


def formats(body: Body) -> list[str]:
    """The formats that are made: those asked for, each once, PNG always among them (D:363)."""
    return list(dict.fromkeys(["png", *(body.get("output_formats") or [])]))


def check_image_options(body: Body, image_provider: str) -> None:
    """Whether image_model, image_resolution and aspect_ratio go together (D:103-104). Raises ProviderError: invalid.

    Without an image_model the rules of the default, nano-banana-pro, apply.
    """
    model, resolution, ratio = (body.get(name) for name in ("image_model", "image_resolution", "aspect_ratio"))
    if (model is not None or resolution is not None) and image_provider != "kie_imagen":
        named = "image_model" if model is not None else "image_resolution"
        raise ProviderError("invalid", f"{named} only works when the image provider is kie_imagen")
    if model == NANO and resolution is not None:
        raise ProviderError("invalid", f"image_resolution is not supported by {NANO}")
    if model == GPT and ratio == "auto" and resolution not in (None, "1K"):
        raise ProviderError(
            "invalid", f"image_resolution {resolution} is not supported by {GPT} with aspect_ratio auto"
        )
    if model == GPT and ratio == "1:1" and resolution == "4K":
        raise ProviderError("invalid", f"image_resolution 4K is not supported by {GPT} with aspect_ratio 1:1")


def check_data(data_json: str) -> None:
    """Whether the text is JSON (D:57, D:385). Raises ProviderError: invalid."""
    try:
        value = json.loads(data_json)
        if isinstance(value, dict | list):
            parse(data_json.encode("utf-8"), members=None)
    except (RecursionError, TooDeep):
        raise ProviderError("invalid", "Invalid JSON in data_json: nested too deeply") from None
    except ValueError as error:
        raise ProviderError("invalid", f"Invalid JSON in data_json: {error}") from None


def check_layout(panels: int, layout: str, labels: Sequence[str] | None) -> None:
    """Whether so many panels fit a layout and their labels. Raises ProviderError: invalid."""
    if panels > MOST_PANELS:
        raise ProviderError("invalid", f"source_task_ids: List should have at most {MOST_PANELS} items")
    from ..drawing.figures import FigureError, composite

    try:
        composite.grid_shape(layout, panels)
        composite.panel_labels(labels, panels)
    except FigureError as refused:
        raise ProviderError("invalid", refused.message) from None


def layout_error(layout: str) -> str | None:
    """What is wrong with the form of a layout; None if nothing is."""
    if layout.lower() == "auto":
        return None
    parts = layout.lower().split("x")
    if len(parts) != 2:
        return f"Layout must be 'RxC' (e.g. '2x3') or 'auto'. Got: '{layout}'"
    try:
        rows, columns = (int(part) for part in parts)
    except ValueError:
        return f"Layout must be 'RxC' with integers. Got: {layout}"
    if rows < 1 or columns < 1:
        return f"Layout rows and cols must be >= 1. Got: {rows}x{columns}"
    return None
