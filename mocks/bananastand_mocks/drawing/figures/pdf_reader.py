"""Reads a PDF in a process of its own: a line of JSON and the PDF come in, a JSON text goes out.

It imports nothing of ours, and pypdf only after its own limits are set. An end without an answer means that a limit of
memory or time was met.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import sys
import time
import zlib
from typing import Any

__all__ = ["Unreadable", "selected_pages"]

MEMORY = 160 * 2**20  # of address space beyond what the interpreter itself has taken
STREAM, INFLATED = 16 * 2**20, 64 * 2**20  # of one stream, and of all of them together
PAGE_TEXT, ALL_TEXT = 200_000, 2_000_000  # characters kept
PARTS = 300_000  # of a page's content
OBJECTS, MENDED = 100_000, 4 * 2**20  # objects in all; the largest file whose table of them is mended
LIMITS = re.compile(r"limit|exceed|too (?:large|long|many|deep)|maximum", re.IGNORECASE)


class Unreadable(Exception):
    """The reason, and the field it concerns."""


def selected_pages(pages: str, count: int) -> list[int]:
    """Page numbers from 1 on, sorted, each once; all of them for a blank text. Raises Unreadable."""
    if not count:
        raise Unreadable("PDF has no pages", "pdf_base64")
    found: set[int] = set()
    for token in (token_text.strip() for token_text in pages.split(",")):
        if not token:
            continue
        ends = token.split("-", 1) if "-" in token[1:] else [token]
        try:
            low, high = sorted((_page_number(ends[0]), _page_number(ends[-1])))
        except ValueError as error:
            raise Unreadable(str(error), "pages") from error
        for page in (low, high):
            if not 1 <= page <= count:
                raise Unreadable(f"Page {page} is out of range for this PDF (1\u2013{count})", "pages")
        found.update(range(low, high + 1))
    return sorted(found) or list(range(1, count + 1))


def _page_number(text: str) -> int:
    """An int as Python reads it, with Python's own words where it is none."""
    if len(text) > 12:
        raise ValueError(f"invalid literal for int() with base 10: {text[:12]!r}")
    return int(text)


class _Complaints(logging.Handler):
    """pypdf leaves out what exceeds its limits and logs it; for us that is an end."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.limit = False

    def emit(self, record: logging.LogRecord) -> None:
        self.limit = self.limit or bool(LIMITS.search(record.getMessage()))


def _main() -> None:
    request = json.loads(sys.stdin.buffer.readline(4096))
    pdf = sys.stdin.buffer.read()
    _limit_resources(request["seconds"])
    try:
        answer = _read(pdf, request["pages"], request["most_pages"], request["seconds"])
    except Unreadable as error:
        reason, field = error.args
        answer = {"refused": reason, "field": field}
    except (MemoryError, RecursionError):
        answer = {"refused": "The PDF needs more memory to read than is allowed", "field": "pdf_base64"}
    sys.stdout.write(json.dumps(answer))


def _limit_resources(seconds: float) -> None:
    """Hold the process to its memory and time where the system can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
        with open("/proc/self/statm", encoding="ascii") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


def _read(pdf: bytes, pages: str, most_pages: int, seconds: float) -> dict[str, Any]:
    start = re.findall(rb"startxref\s{1,8}(\d{1,12})", pdf[-65536:])
    if not start:
        pdf, start = _with_end(pdf), [b"0"]
    if len(pdf) > MENDED and not re.match(rb"\s*(?:xref|\d+\s+\d+\s+obj)", pdf[int(start[-1]) :][:64]):
        raise Unreadable("The PDF is damaged: startxref points nowhere", "pdf_base64")
    if pdf.count(b" obj") > OBJECTS:
        raise Unreadable(f"The PDF has more than {OBJECTS} objects", "pdf_base64")
    _check_inflated_size(pdf)
    complaints = _Complaints()
    logging.getLogger().addHandler(complaints)
    from pypdf import PdfReader, overwrite_configuration
    from pypdf.errors import FileNotDecryptedError, LimitReachedError, PyPdfError

    overwrite_configuration(
        zlib_maximum_output_length=STREAM,
        lzw_maximum_output_length=STREAM // 8,
        run_length_maximum_output_length=STREAM,
        array_based_stream_maximum_output_length=STREAM,
        stream_decoding_work_maximum_length=2 * STREAM,
        maximum_declared_stream_length=32 * 2**20,
        stream_parsing_work_maximum_count=PARTS,
        page_tree_maximum_entries=4 * most_pages,
        page_tree_maximum_depth=40,
        jbig2dec_binary=None,
        disable_legacy_handling=True,
    )
    try:
        reader = PdfReader(io.BytesIO(pdf), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("The PDF is encrypted", "pdf_base64")
        count = _count(reader, most_pages)
        page_numbers = selected_pages(pages, count)
        return {"text": "\n\n".join(_texts(reader, page_numbers, seconds, complaints)), "pages": page_numbers}
    except FileNotDecryptedError as error:
        raise Unreadable("The PDF is encrypted", "pdf_base64") from error
    except (Unreadable, MemoryError, RecursionError):
        raise
    except LimitReachedError as error:
        raise Unreadable(f"The PDF holds more than is allowed: {str(error)[:120]}", "pdf_base64") from error
    except PyPdfError as error:
        raise Unreadable(f"The PDF cannot be read: {str(error)[:120]}", "pdf_base64") from error
    except Exception as error:  # a damaged file can break a parser in any way
        raise Unreadable(f"The PDF is damaged ({type(error).__name__})", "pdf_base64") from error


def _with_end(pdf: bytes) -> bytes:
    """A PDF that was cut off, with an end: pypdf then makes its table of objects anew. Raises Unreadable."""
    if len(pdf) > MENDED:
        raise Unreadable("The PDF is truncated: it has no startxref at its end", "pdf_base64")
    catalog = re.search(rb"(\d{1,7})\s{1,3}(\d{1,5})\s{1,3}obj\s{0,3}<<[^<>]{0,400}/Type\s{0,3}/Catalog\b", pdf)
    root = re.search(rb"/Root\s{1,3}(\d{1,7})\s{1,3}(\d{1,5})\s{1,3}R", pdf) or catalog
    if root is None:
        raise Unreadable("The PDF is truncated: it has neither startxref nor catalog", "pdf_base64")
    return pdf + b"\ntrailer\n<</Size %d/Root %s %s R>>\nstartxref\n0\n%%%%EOF" % (OBJECTS, root[1], root[2])


def _count(reader: Any, most_pages: int) -> int:
    count = len(reader.pages)
    if count > most_pages:
        raise Unreadable(f"The PDF has more than {most_pages} pages", "pdf_base64")
    return count


def _texts(reader: Any, page_numbers: list[int], seconds: float, complaints: _Complaints) -> list[str]:
    found: list[str] = []
    end = time.process_time() + 0.8 * seconds
    for page in page_numbers:
        if time.process_time() > end:
            raise Unreadable("The pages take too long to read; select fewer", "pages")
        text = reader.pages[page - 1].extract_text().strip()[:PAGE_TEXT]
        if complaints.limit:
            raise Unreadable(f"Page {page} of the PDF holds more than is allowed", "pdf_base64")
        found.append(f"--- Page {page} ---\n\n{text or '[no extractable text on this page]'}")
        if sum(len(text_of_page) for text_of_page in found) > ALL_TEXT:
            raise Unreadable(f"The pages hold more than {ALL_TEXT} characters; select fewer", "pages")
    return found


def _check_inflated_size(pdf: bytes) -> None:
    """Count what the compressed streams hold before any is kept, whatever their dictionaries say of them."""
    total, at = 0, 0
    while (at := pdf.find(b"stream", at)) >= 0:
        if pdf[at - 3 : at] == b"end":
            at += 6
            continue
        at += 6
        start = at + (2 if pdf[at : at + 2] == b"\r\n" else 1)
        if pdf[start : start + 1] not in (b"\x78", b"\x68", b"\x58", b"\x48", b"\x38"):
            continue
        engine, size, place = zlib.decompressobj(), 0, start
        with contextlib.suppress(zlib.error):
            while place < len(pdf) and not engine.eof:
                part = engine.decompress(engine.unconsumed_tail or pdf[place : place + 65536], 2**20)
                place += 0 if engine.unconsumed_tail else 65536
                size += len(part)
                if size > STREAM or total + size > INFLATED:
                    raise Unreadable("The PDF inflates to more than is allowed", "pdf_base64")
        total += size


if __name__ == "__main__":
    _main()
