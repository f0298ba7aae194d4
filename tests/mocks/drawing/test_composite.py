"""PaperBanana's composites: to the pixel what FACTS 5.5 tells, and pictures that are none are refused."""

from __future__ import annotations

import io
import struct
import time
import zlib
from typing import Any

import pytest
from PIL import Image

from bananastand_mocks.drawing.figures import Figure, FigureError, composite


def picture(width: int, height: int, colour: str = "red", kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height), colour).save(buffer, kind)
    return buffer.getvalue()


def opened(figure: Figure) -> Image.Image:
    return Image.open(io.BytesIO(figure.files["png"]))


@pytest.mark.parametrize(
    ("count", "grid"),
    [
        (2, (1, 2)),
        (3, (1, 3)),
        (4, (2, 2)),
        (5, (2, 3)),
        (6, (2, 3)),
        (7, (3, 3)),
        (9, (3, 3)),
        (10, (3, 4)),
        (13, (4, 4)),
    ],
)
def test_automatic_layout_picks_a_grid_for_the_count(count: int, grid: tuple[int, int]):
    assert composite.grid_shape("auto", count) == composite.grid_shape("AUTO", count) == grid


def test_the_size_is_that_of_columns_labels_and_spacing():
    figure = composite.draw(
        [picture(300, 100), picture(100, 200), picture(50, 100)], layout="2X2", spacing=7, label_font_size=20
    )
    # all become 100 high: 300, 50, 50 wide; columns are 300 and 50 wide
    assert (figure.width, figure.height) == opened(figure).size == (300 + 50 + 3 * 7, (100 + 28) * 2 + 3 * 7)


def test_panels_stand_in_the_middle_of_their_column_with_the_label_below():
    figure = opened(
        composite.draw(
            [picture(60, 50, "red"), picture(40, 50, "blue"), picture(20, 50, "lime")],
            layout="3x1",
            spacing=10,
            labels=["", "", ""],
            label_font_size=12,
        )
    )
    assert figure.size == (80, 3 * 70 + 40)
    assert [figure.getpixel((x, 10)) for x in (9, 10, 69, 70)] == [
        (255, 255, 255),
        (255, 0, 0),
        (255, 0, 0),
        (255, 255, 255),
    ]
    assert [figure.getpixel((x, 90)) for x in (19, 20, 59, 60)] == [
        (255, 255, 255),
        (0, 0, 255),
        (0, 0, 255),
        (255, 255, 255),
    ]
    assert [figure.getpixel((29, y)) for y in (169, 170)] == [(255, 255, 255), (255, 255, 255)]
    assert [figure.getpixel((30, y)) for y in (169, 170, 219, 220)] == [
        (255, 255, 255),
        (0, 255, 0),
        (0, 255, 0),
        (255, 255, 255),
    ]


def test_labels_stand_above_when_asked_to():
    above = opened(composite.draw([picture(200, 50)] * 2, label_position="top", spacing=0))
    below = opened(composite.draw([picture(200, 50)] * 2, spacing=0))
    assert above.size == below.size == (400, 90)
    assert above.getpixel((0, 39)) == (255, 255, 255)
    assert above.getpixel((0, 40)) == (255, 0, 0)
    assert below.getpixel((0, 49)) == (255, 0, 0)
    assert below.getpixel((0, 50)) == (255, 255, 255)
    assert above.crop((0, 0, 200, 40)).convert("L").getextrema()[0] != 255  # ink of (a)


def test_a_height_above_1200_is_scaled_down_and_what_is_transparent_is_white():
    figure = opened(composite.draw([picture(100, 1300)] * 2, spacing=0, label_font_size=10))
    assert figure.size == (2 * 92, 1218)
    clear = opened(composite.draw([picture(10, 10, "#ff000000", mode="RGBA")] * 2, spacing=0, labels=["", ""]))
    assert clear.getpixel((5, 5)) == (255, 255, 255)


def test_the_description_names_the_labels():
    assert composite.draw([picture(9, 9)] * 2).description == (
        "Composite figure of 2 panels in 1 row and 2 columns, labelled (a), (b)."
    )


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("3", "Layout must be 'RxC' (e.g. '2x3') or 'auto'. Got: '3'"),
        ("1x2x3", "Layout must be 'RxC' (e.g. '2x3') or 'auto'. Got: '1x2x3'"),
        ("axb", "Layout must be 'RxC' with integers. Got: 'axb'"),
        ("0x3", "Layout rows and cols must be >= 1. Got: 0x3"),
        ("1x2", "Layout 1x2 (2 cells) cannot fit 3 images"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused_in_the_providers_words(layout: str, message: str):
    with pytest.raises(FigureError) as refused:
        composite.draw([picture(9, 9)] * 3, layout=layout)
    assert (refused.value.message, refused.value.field) == (message, "layout")


def test_labels_must_be_as_many_as_pictures():
    with pytest.raises(FigureError, match="Expected 3 labels, got 2"):
        composite.draw([picture(9, 9)] * 3, labels=["a", "b"])


def test_automatic_labels_end_with_the_26th_picture():
    assert composite.panel_labels(None, 28)[24:] == ["(y)", "(z)", "", ""]
    assert composite.draw([picture(9, 9)] * 27).description.endswith("(y), (z).")


@pytest.mark.parametrize(
    ("keywords", "field"),
    [
        ({"spacing": -1}, "spacing"),
        ({"spacing": 10**9}, "layout"),
        ({"label_font_size": 0}, "label_font_size"),
        ({"label_font_size": 10**9}, "layout"),
        ({"label_position": "left"}, "label_position"),
        ({"layout": "1000x99999"}, "layout"),
    ],
)
def test_sizes_out_of_range_are_refused(keywords: dict[str, Any], field: str):
    with pytest.raises(FigureError) as refused:
        composite.draw([picture(9, 9)] * 2, **keywords)
    assert refused.value.field == field


def claimed(width: int, height: int) -> bytes:
    """A PNG that says it is so large and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        picture(9, 9)[:-30],
        claimed(60_000, 60_000),
        claimed(2**31 - 1, 2**31 - 1),
        claimed(100_000, 1),
        claimed(3000, 3000),
        b"<svg/>" * 99,
    ],
)
def test_a_hostile_picture_is_refused_at_once(data: bytes):
    begun = time.process_time()
    with pytest.raises(FigureError) as refused:
        composite.draw([picture(9, 9), data])
    assert refused.value.field == "source_task_ids"
    assert time.process_time() - begun < 1
