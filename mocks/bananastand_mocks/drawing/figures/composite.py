"""Puts finished figures into one, to the pixel as PaperBanana does it (FACTS 5.5).

Every picture becomes white-backed RGB of one height, the smallest there is and 1200 at most; columns are as wide as
their widest picture; each panel has its label below or above.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

from .figure import Figure, FigureError

__all__ = ["draw", "grid_shape", "panel_labels"]

TALLEST, LABEL_GAP, LABEL_ROOM = 1200, 2, 8
MOST_PIXELS = 40_000_000  # of one picture before it is decoded; the whole may have twice as many
MOST_BYTES = 64 * 2**20
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
POSITIONS = ("top", "bottom")


def draw(
    images: Sequence[bytes],
    *,
    layout: str = "auto",
    labels: Sequence[str] | None = None,
    spacing: int = 20,
    label_position: str = "bottom",
    label_font_size: int = 32,
) -> Figure:
    """Place all pictures in one PNG, in their order, row by row.

    Args:
        images: The pictures' files, at least two.
        layout: Rows and columns, such as "2x3", or "auto".
        labels: A label for each picture; by default (a) to (z), and none for the pictures after the 26th.
        spacing: Space between pictures in pixels, at least 0.
        label_position: Where labels stand: "top" or "bottom".
        label_font_size: Height of the labels' font in pixels, at least 1.

    Raises:
        FigureError: The layout or the labels do not fit, a size is out of range, or a file is not a picture or too
            large.
    """
    if len(images) < 2:
        raise FigureError("source_task_ids must hold at least two tasks", "source_task_ids")
    rows, columns = grid_shape(layout, len(images))
    names = panel_labels(labels, len(images))
    if spacing < 0:
        raise FigureError("spacing must be a non-negative integer", "spacing")
    if label_font_size < 1:
        raise FigureError("font size must be greater than 0", "label_font_size")
    if label_position not in POSITIONS:
        raise FigureError(f"label_position must be one of: {', '.join(POSITIONS)}", "label_position")
    panels = _scaled(images)
    return _composed(panels, names, rows, columns, spacing, label_position == "top", label_font_size)


def grid_shape(layout: str, count: int) -> tuple[int, int]:
    """Rows and columns for so many pictures. Raises FigureError, in the provider's words."""
    if layout.lower() == "auto":
        if count <= 3:
            return 1, count
        rows, columns = (
            (2, 2) if count == 4 else (2, 3) if count <= 6 else (3, 3) if count <= 9 else (-(-count // 4), 4)
        )
        return rows, columns
    parts = layout.lower().split("x")
    if len(parts) != 2:
        raise FigureError(f"Layout must be 'RxC' (e.g. '2x3') or 'auto'. Got: '{layout[:40]}'", "layout")
    if not all(re.fullmatch(r"\s*[+-]?[0-9]{1,9}\s*", part) for part in parts):
        raise FigureError(f"Layout must be 'RxC' with integers. Got: '{layout[:40]}'", "layout")
    rows, columns = (int(part) for part in parts)
    if rows < 1 or columns < 1:
        raise FigureError(f"Layout rows and cols must be >= 1. Got: {rows}x{columns}", "layout")
    if rows * columns < count:
        raise FigureError(f"Layout {rows}x{columns} ({rows * columns} cells) cannot fit {count} images", "layout")
    return rows, columns


def panel_labels(labels: Sequence[str] | None, count: int) -> list[str]:
    """Return the caller's labels, or (a) to (z) and empty ones for the pictures after the 26th. Raises FigureError."""
    if labels is None:
        return [f"({letter})" for letter in ALPHABET[:count]] + [""] * (count - len(ALPHABET))
    if len(labels) != count:
        raise FigureError(f"Expected {count} labels, got {len(labels)}", "labels")
    return [" ".join(label.split())[:200] for label in labels]


def _scaled(images: Sequence[bytes]) -> list[Any]:
    """The pictures in RGB at their common height, the sizes checked before anything is decoded."""
    from PIL import Image

    sizes = [_size(data) for data in images]
    height = min(TALLEST, *(size[1] for size in sizes))
    widths = [max(1, round(width * height / tall)) for width, tall in sizes]
    if sum(widths) * height > MOST_PIXELS:
        raise FigureError(f"the panels would have more than {MOST_PIXELS} pixels", "source_task_ids")
    panels: list[Any] = []
    for data, width in zip(images, widths, strict=True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(data)) as opened:
                    flat = _flat(opened)
        except (OSError, ValueError, SyntaxError) as error:
            raise FigureError("a source image cannot be decoded", "source_task_ids") from error
        panels.append(flat.resize((width, height), Image.Resampling.LANCZOS) if flat.size != (width, height) else flat)
    return panels


def _size(data: bytes) -> tuple[int, int]:
    from PIL import Image

    if len(data) > MOST_BYTES:
        raise FigureError(f"a source image has more than {MOST_BYTES} bytes", "source_task_ids")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as opened:
                width, height = opened.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FigureError("a source image cannot be decoded", "source_task_ids") from error
    if width * height > MOST_PIXELS or min(width, height) < 1 or width > 200 * height:
        raise FigureError(f"a source image of {width}x{height} pixels cannot be composed", "source_task_ids")
    return width, height


def _flat(opened: Any) -> Any:
    """RGB, with what is transparent white."""
    from PIL import Image

    if opened.mode not in ("RGBA", "LA", "PA") and "transparency" not in opened.info:
        return opened.convert("RGB")
    layer = opened.convert("RGBA")
    flat = Image.new("RGB", layer.size, "white")
    flat.paste(layer, mask=layer.getchannel("A"))
    return flat


def _composed(
    panels: Sequence[Any], names: Sequence[str], rows: int, columns: int, spacing: int, above: bool, letters: int
) -> Figure:
    from PIL import Image, ImageDraw, ImageFont

    tall = panels[0].height
    room = letters + LABEL_ROOM
    wide = [max((panel.width for panel in panels[column::columns]), default=0) for column in range(columns)]
    width = sum(wide) + spacing * (columns + 1)
    height = (tall + room) * rows + spacing * (rows + 1)
    if width * height > 2 * MOST_PIXELS:
        raise FigureError(f"a composite of {width}x{height} pixels is too large", "layout")
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    font = _font(letters, ImageFont)
    for place, (panel, name) in enumerate(zip(panels, names, strict=True)):
        row, column = divmod(place, columns)
        left = spacing + sum(wide[:column]) + spacing * column
        top = spacing + (tall + room + spacing) * row
        picture_top = top + room if above else top
        sheet.paste(panel, (left + (wide[column] - panel.width) // 2, picture_top))
        box = pen.textbbox((0, 0), name, font=font)
        x = left + (wide[column] - (box[2] - box[0])) // 2
        pen.text((x, top + LABEL_GAP if above else top + tall + LABEL_GAP), name, fill="black", font=font)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", compress_level=6)
    listed = ", ".join(name for name in names if name)
    description = (
        f"Composite figure of {len(panels)} panels in {rows} row{'' if rows == 1 else 's'} and {columns} columns"
    )
    return Figure(
        {"png": buffer.getvalue()}, f"{description}{f', labelled {listed}' if listed else ''}.", width, height
    )


def _font(letters: int, fonts: Any) -> Any:
    """DejaVu Sans Bold, which comes with matplotlib; it is found without importing it."""
    from importlib.util import find_spec
    from pathlib import Path

    found = find_spec("matplotlib")
    if found and found.origin:
        return fonts.truetype(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans-Bold.ttf", letters)
    return fonts.load_default(letters)
