"""Reads pictures from outside with caution, and writes files and thumbnails. Imports Pillow: load it on first use."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from .pictures import NotAPicture

__all__ = ["decode", "inspect", "png", "thumbnail"]

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 7680 * 4320
LONGEST = 16_384  # pixels of a side
THUMBNAIL = 320

UNREADABLE = (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError,
              Image.DecompressionBombWarning)  # fmt: skip


def inspect(content: bytes) -> tuple[str, int, int]:
    """Format, width and height of a picture that can be decoded to its end. Raises NotAPicture."""
    picture = decode(content)
    return str(picture.format).lower(), picture.width, picture.height


def decode(content: bytes) -> Image.Image:
    """The decoded picture. Its pixels are counted before they are decoded. Raises NotAPicture."""
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
        if picture.width * picture.height > MOST_PIXELS or max(picture.size) > LONGEST:
            raise NotAPicture(f"{picture.width} x {picture.height} pixels are too many")
        picture.load()
    except NotAPicture:
        raise
    except UNREADABLE:
        raise NotAPicture("not a PNG, JPEG or WebP that can be read") from None
    return picture


def thumbnail(content: bytes) -> bytes:
    """A JPEG of at most 320 pixels a side."""
    picture = Image.open(io.BytesIO(content), formats=FORMATS)
    picture.draft("RGB", (THUMBNAIL, THUMBNAIL))
    small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS, reducing_gap=2.0)
    kept = io.BytesIO()
    small.save(kept, "JPEG", quality=86)
    return kept.getvalue()


def png(picture: Image.Image) -> bytes:
    """The picture as PNG."""
    kept = io.BytesIO()
    picture.save(kept, "PNG", compress_level=3)
    return kept.getvalue()
