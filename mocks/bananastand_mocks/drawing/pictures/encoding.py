"""Reads pictures from outside with caution, and writes files and thumbnails. Imports Pillow: load it on first use."""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import contextmanager

from PIL import Image, ImageOps, UnidentifiedImageError

from .recipe import NotAPicture

__all__ = ["decode", "inspect", "png", "reduced", "thumbnail"]

# How many pixels a format may have: a picture is decoded in 200 MB, and the more a decoder takes for a pixel, the
# fewer there may be. WebP's holds four canvases, that of a progressive JPEG all coefficients.
MOST_PIXELS = {"PNG": 7680 * 4320, "JPEG": 7680 * 4320, "WEBP": 4096 * 2304}
MOST_PROGRESSIVE = 4096 * 4096
LONGEST = 16_384  # pixels of a side
THUMBNAIL, STRIP = 320, 64

UNREADABLE = (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError,
              Image.DecompressionBombWarning)  # fmt: skip


def inspect(content: bytes) -> tuple[str, int, int]:
    """Format, width and height of a picture that can be decoded to its end. Raises NotAPicture."""
    with _readable():
        picture = _opened(content)
        found = str(picture.format).lower(), picture.width, picture.height
        picture.draft("RGB", (THUMBNAIL, THUMBNAIL))
        picture.load()
    return found


def decode(content: bytes, least: int | None = None) -> Image.Image:
    """The decoded picture; with `least` a JPEG at a fraction of its size, no side shorter than that.

    Raises NotAPicture.
    """
    with _readable():
        picture = _opened(content)
        if least is not None:
            picture.draft("RGB", (least, least))
        picture.load()
    return picture


def reduced(picture: Image.Image, least: int) -> Image.Image:
    """The picture in RGB and as it is held, with no side needlessly longer than twice `least`.

    It is converted in strips: a second copy of the whole would be too large.
    """
    factor = max(1, min(picture.size) // least)
    small = Image.new("RGB", (-(-picture.width // factor), -(-picture.height // factor)))
    for top in range(0, small.height, STRIP):
        rows = (top * factor, min(picture.height, (top + STRIP) * factor))
        strip = picture.crop((0, rows[0], picture.width, rows[1]))
        if strip.mode.startswith("I"):  # 16 bits, of which RGB has room for 8
            strip = strip.convert("I").point(lambda level: level * (1 / 256)).convert("L")
        small.paste(strip.convert("RGB").reduce(factor), (0, top))
    small.info = picture.info
    return ImageOps.exif_transpose(small)


def thumbnail(content: bytes) -> bytes:
    """A JPEG of at most 320 pixels a side."""
    small = reduced(decode(content, THUMBNAIL), THUMBNAIL)
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=86)
    return buffer.getvalue()


def png(picture: Image.Image) -> bytes:
    """The picture as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


@contextmanager
def _readable() -> Generator[None]:
    try:
        yield
    except NotAPicture:  # a ValueError too
        raise
    except UNREADABLE:
        raise NotAPicture("not a PNG, JPEG or WebP that can be read") from None


def _opened(content: bytes) -> Image.Image:
    """A picture whose pixels are counted, and not decoded yet. Raises NotAPicture."""
    picture = Image.open(io.BytesIO(content), formats=tuple(MOST_PIXELS))
    most = MOST_PROGRESSIVE if picture.info.get("progressive") else MOST_PIXELS[str(picture.format)]
    if picture.width * picture.height > most or max(picture.size) > LONGEST:
        raise NotAPicture(f"{picture.width} x {picture.height} pixels are too many")
    return picture
