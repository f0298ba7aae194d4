"""PaperBanana's papers: the pages that are asked for, and a hostile PDF's end in under a second."""

from __future__ import annotations

import base64
import io
import resource
import subprocess
import sys
import zlib

import pypdf
import pytest

from bananastand_mocks.drawing.figures import FigureError, paper

FONT = b"/Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"


def document(objects: list[bytes]) -> bytes:
    out, places = b"%PDF-1.4\n", list[int]()
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))
    return out + head + table + end


def stream(data: bytes, more: bytes = b"") -> bytes:
    return b"<</Length %d %s>>\nstream\n%s\nendstream" % (len(data), more, data)


def pages(texts: list[bytes]) -> bytes:
    kids = b" ".join(b"%d 0 R" % (3 + 2 * i) for i in range(len(texts)))
    objects = [CATALOG, b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(texts), kids)]
    for i, text in enumerate(texts):
        content = zlib.compress(b"BT /F1 12 Tf 20 200 Td (%s) Tj ET" % text)
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Resources<<%s>>/Contents %d 0 R>>" % (FONT, 4 + 2 * i)
        )
        objects.append(stream(content, b"/Filter/FlateDecode"))
    return document(objects)


def content(data: bytes, more: bytes = b"", resources: bytes = FONT, *others: bytes) -> bytes:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Resources<<%s>>/Contents 4 0 R>>" % resources
    return document([CATALOG, b"<</Type/Pages/Count 1/Kids[3 0 R]>>", page, stream(data, more), *others])


def encoded(pdf: bytes) -> str:
    return base64.b64encode(pdf).decode()


FOUR = pages([b"First page", b"Second page", b"", b"Fourth page"])


def test_all_pages_are_read_below_their_numbers():
    found = paper.read(encoded(FOUR))
    assert found.pages == [1, 2, 3, 4]
    assert found.text == (
        "--- Page 1 ---\n\nFirst page\n\n--- Page 2 ---\n\nSecond page\n\n--- Page 3 ---\n\n"
        "[no extractable text on this page]\n\n--- Page 4 ---\n\nFourth page"
    )
    assert found.pdf == FOUR


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        ("2", [2]),
        ("1,3-4", [1, 3, 4]),
        ("4-2", [2, 3, 4]),
        (" 2 , ,2, 1 ", [1, 2]),
        ("", [1, 2, 3, 4]),
        ("  ", [1, 2, 3, 4]),
    ],
)
def test_page_selection_picks_pages(selection: str, numbers: list[int]):
    assert paper.read(encoded(FOUR), selection).pages == numbers


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("5", "Page 5 is out of range for this PDF (1\u20134)"),
        ("0", "Page 0 is out of range for this PDF (1\u20134)"),
        ("2-999999999", "Page 999999999 is out of range for this PDF (1\u20134)"),
        ("two", "invalid literal for int() with base 10: 'two'"),
        ("1-", "invalid literal for int() with base 10: ''"),
    ],
)
def test_a_selection_that_is_none_is_refused(selection: str, message: str):
    with pytest.raises(FigureError) as refused:
        paper.read(encoded(FOUR), selection)
    assert (refused.value.message, refused.value.field) == (message, "pages")


def test_a_data_url_and_broken_lines_are_read_too():
    text = encoded(FOUR)
    assert paper.decode("data:application/pdf;base64," + text) == FOUR
    assert paper.decode("\n".join(text[i : i + 76] for i in range(0, len(text), 76))) == FOUR


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not hold a PDF"),
        ("%%%", "not valid base64"),
        ("data:image/png;base64,AAAA", "data:application/pdf"),
        (encoded(b"plain text"), "does not hold a PDF"),
        ("A" * 40_000_000, "more than 26214400 bytes"),
        ("\u00e9" * 8, "not valid"),
    ],
)
def test_what_is_no_pdf_is_refused_before_any_reading(text: str, message: str):
    with pytest.raises(FigureError, match=message) as refused:
        paper.decode(text)
    assert refused.value.field == "pdf_base64"


@pytest.mark.parametrize(
    ("pdf", "found"),
    [
        (FOUR[: FOUR.index(b"startxref")], 4),
        (FOUR[: FOUR.index(b"startxref")] + b"%%EOF", 4),
        (FOUR[:-60], 4),  # in the middle of the trailer
        (FOUR[: FOUR.index(b"xref\n0")], 4),
        (FOUR[: FOUR.index(b"xref\n0") - 150], 3),  # with the last page's text
        (FOUR.replace(b"startxref\n", b"startxref\n9"), 4),
    ],
)
def test_what_a_damaged_end_leaves_is_read(pdf: bytes, found: int):
    texts = paper.read(encoded(pdf)).text
    assert [word in texts for word in ("First", "Second", "Fourth")] == [found > 0, found > 1, found > 3]


def encrypted() -> bytes:
    writer, buffer = pypdf.PdfWriter(), io.BytesIO()
    writer.append(io.BytesIO(FOUR))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(buffer)
    return buffer.getvalue()


def inner(number: int) -> bytes:
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X%d %d 0 R>>>>" % (number + 1, 6 + number)
    return stream(b"/X%d Do " % (number + 1) * 10, form)


BOMB = zlib.compress(b"\0" * 40_000_000, 9)
TREE = b"<</Type/Pages/Count 4/Kids[%s]>>"
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"%PDF-", "truncated"),
    "cut and long": (FOUR[:-60] + b" " * 5_000_000, "truncated"),
    "no catalog": (FOUR.replace(b"/Catalog", b"/Dogalog")[:-60], "truncated"),
    "no root": (b"%PDF-1.4\nxref\n0 0\ntrailer\n<<>>\nstartxref\n0\n%%EOF", "cannot be read"),
    "no pages": (document([CATALOG, b"<</Type/Pages/Count 0/Kids[]>>"]), "PDF has no pages"),
    "bomb": (content(BOMB, b"/Filter/FlateDecode"), "inflates to more than is allowed"),
    "bomb in a bomb": (
        content(zlib.compress(BOMB, 9), b"/Filter[/FlateDecode/FlateDecode]"),
        "holds more than is allowed",
    ),
    "bomb in text": (
        content(base64.a85encode(BOMB) + b"~>", b"/Filter[/ASCII85Decode/FlateDecode]"),
        "holds more than is allowed",
    ),
    "run lengths": (content(b"\x81\x00" * 400_000, b"/Filter/RunLengthDecode"), "holds more than is allowed"),
    "circle of pages": (document([CATALOG, b"<</Type/Pages/Count 1/Kids[2 0 R]>>"]), "cyclic"),
    "pages without end": (
        document([CATALOG, *(TREE % (b"%d 0 R " % (i + 1) * 4) for i in range(2, 30)), b"<</Type/Page>>"]),
        "limit",
    ),
    "deep pages": (
        document([CATALOG, *(TREE % (b"%d 0 R" % (i + 1)) for i in range(2, 900)), b"<</Type/Page>>"]),
        "depth",
    ),
    "600 pages": (pages([b"x"] * 600), "more than 500 pages"),
    "4000 pages": (pages([b"x"] * 4000), "limit"),
    "forms in forms": (
        content(
            b"/X0 Do",
            b"",
            FONT + b"/XObject<</X0 5 0 R>>",
            *(inner(i) for i in range(12)),
            stream(b"BT (a) Tj ET", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]"),
        ),
        "holds more than is allowed",
    ),
    "one long array": (content(b"[" + b"1 " * 500_000 + b"] TJ"), "cannot be read|more than is allowed"),
    "no objects": (b"%PDF-1.7\n" + b"1 " * 3_000_000 + b"startxref\n5\n%%EOF", "points nowhere"),
    "many objects": (b"%PDF-1.7\n" + b"1 0 obj\n" * 150_000 + b"startxref\n5\n%%EOF", "more than 100000 objects"),
}


@pytest.mark.parametrize("name", [*HOSTILE, "encrypted"])
def test_a_hostile_pdf_is_refused_in_under_a_second(name: str):
    pdf, message = HOSTILE.get(name, (b"", "encrypted"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(FigureError, match=message) as refused:
        paper.read(encoded(pdf or encrypted()))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert refused.value.field == "pdf_base64"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_a_page_that_would_take_for_ever_is_ended():
    words = content(zlib.compress(b"BT /F1 1 Tf (a) Tj ET " * 20_000), b"/Filter/FlateDecode")
    with pytest.raises(FigureError, match="takes more than|memory or time|too long"):
        paper.read(encoded(words), seconds=0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not hold a process to its memory")
def test_the_reader_stays_below_200_mb():
    script = (
        "import base64, resource, sys, zlib; from bananastand_mocks.drawing.figures import FigureError, paper\n"
        "text = sys.stdin.read()\n"
        "try: paper.read(text)\n"
        "except FigureError: print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    for name in ("bomb in a bomb", "run lengths", "one long array"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=encoded(HOSTILE[name][0]),
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        assert int(done.stdout) < 200 * 1024
