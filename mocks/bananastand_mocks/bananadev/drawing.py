"""Draws a picture from a model's inputs. Knows nothing of worlds and runs; Pillow is imported when first needed."""

from __future__ import annotations

import base64
import colorsys
import hashlib
import io
import json
import textwrap
from typing import Any

__all__ = ["draw"]

SIDE, SMALLEST, LARGEST = 512, 64, 1024
GROUND, INK = 0, 255
LETTERS = 400  # of a prompt that are shown


def draw(model: str, inputs: Any) -> dict[str, Any]:
    """An answer as the Potassium templates give it: {"output": base64 PNG, "images": [...], "model"}.

    The picture shows the prompt, has the size asked for and is the same for the same inputs.
    """
    payload: dict[str, Any] = inputs if isinstance(inputs, dict) else {"prompt": inputs}
    prompt = _prompt(payload)
    width, height = _side(payload.get("width")), _side(payload.get("height"))
    seed = payload.get("seed")
    seed = seed if isinstance(seed, int) and not isinstance(seed, bool) else _number(prompt) % 2**32
    encoded = base64.b64encode(_paint(prompt, model, width, height, seed)).decode()
    image = {"base64": encoded, "format": "png", "width": width, "height": height, "seed": seed}
    return {"output": encoded, "images": [image], "model": model}


def _prompt(payload: dict[str, Any]) -> str:
    prompt = payload.get("prompt")
    return prompt if isinstance(prompt, str) else json.dumps(payload if prompt is None else prompt, sort_keys=True)


def _side(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return SIDE
    return min(max(value, SMALLEST), LARGEST)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8])


def _paint(prompt: str, model: str, width: int, height: int, seed: int) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (width, height), GROUND)
    canvas = ImageDraw.Draw(image)
    size = max(12, width // 20)
    canvas.rectangle((0, height - 2 * size, width, height), fill=INK)
    font = ImageFont.load_default(size)
    wrapped = textwrap.fill(prompt[:LETTERS], max(8, int(width / (size * 0.55))))
    canvas.multiline_text((size, size), wrapped, fill=INK, font=font)
    canvas.text((size, height - 1.6 * size), f"{model[:24]}  seed {seed}", fill=GROUND, font=font)
    image.putpalette(_shades(_number(f"{seed} {prompt}") % 360 / 360))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _shades(hue: float) -> list[int]:
    """256 colours from the ground's to the ink's: drawn in grey, a picture takes a colour at no cost."""
    ground, ink = (colorsys.hls_to_rgb(hue, light, 0.6) for light in (0.82, 0.35))
    return [
        round(255 * (first + (last - first) * level / INK))
        for level in range(INK + 1)
        for first, last in zip(ground, ink, strict=True)
    ]
