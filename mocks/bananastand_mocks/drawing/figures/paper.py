"""Reads the text of a paper's pages.

A PDF is a program of sorts, so it is read in a process of its own that may use so much memory and so much time, and is
ended when it asks for more. What the text says is not judged here.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .figure import FigureError

__all__ = ["MOST_BYTES", "MOST_PAGES", "SECONDS", "Paper", "decode", "read"]

MOST_BYTES = 25 * 2**20
MOST_PAGES = 500  # of the whole document
SECONDS = 10.0  # of the processor's time
PATIENCE = 6  # how much longer it may take on a busy machine
READER = Path(__file__).with_name("pdf_reader.py")
DATA_URL = re.compile(r"data:application/pdf(?:;[\w.=+-]+)*;base64,", re.IGNORECASE)


@dataclass(frozen=True)
class Paper:
    """The selected pages' text, each below its number; the pages, from 1 on; and the PDF itself."""

    text: str
    pages: list[int]
    pdf: bytes


def read(pdf_base64: str, pages: str | None = None, *, seconds: float = SECONDS) -> Paper:
    """Returns the text of a paper's pages. Blocks until the PDF is read.

    Args:
        pdf_base64: The PDF in base64, or a data URL of it.
        pages: The selection, such as `1,3-5` or `5-3`; None for all pages.
        seconds: Processor time that reading may take.

    Raises:
        FigureError: Not base64, not a PDF, encrypted, damaged or too large, or a page out of range.
    """
    pdf = decode(pdf_base64)
    arguments = [sys.executable, "-P", str(READER)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    request = json.dumps({"pages": pages or "", "most_pages": MOST_PAGES, "seconds": seconds}).encode()
    try:
        done = subprocess.run(
            arguments,
            input=request + b"\n" + pdf,
            capture_output=True,
            timeout=PATIENCE * seconds,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FigureError(f"The PDF takes more than {seconds:g} seconds to read", "pdf_base64") from error
    if done.returncode != 0 or not done.stdout:
        raise FigureError("The PDF needs more memory or time to read than is allowed", "pdf_base64")
    answer = json.loads(done.stdout)
    if "refused" in answer:
        raise FigureError(answer["refused"], answer["field"])
    return Paper(answer["text"], answer["pages"], pdf)


def decode(pdf_base64: str) -> bytes:
    """The bytes of a base64 text or data URL that begin like a PDF. Raises FigureError."""
    head = DATA_URL.match(pdf_base64[:200])
    if head is None and pdf_base64[:5].lower() == "data:":
        raise FigureError("pdf_base64 must be base64 or a data:application/pdf;base64, URL", "pdf_base64")
    if len(pdf_base64) > MOST_BYTES * 4 // 3 * 1.1 + 200:
        raise FigureError(f"The PDF has more than {MOST_BYTES} bytes", "pdf_base64")
    text = "".join(pdf_base64[head.end() if head else 0 :].split())
    try:
        pdf = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise FigureError("pdf_base64 is not valid base64", "pdf_base64") from error
    if len(pdf) > MOST_BYTES:
        raise FigureError(f"The PDF has more than {MOST_BYTES} bytes", "pdf_base64")
    if b"%PDF-" not in pdf[:1024]:
        raise FigureError("pdf_base64 does not hold a PDF", "pdf_base64")
    return pdf
