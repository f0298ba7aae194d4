"""Finds a file in a multipart/form-data body. Knows no picture."""

from __future__ import annotations

import re

__all__ = ["find_file"]

BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^";,\s]{1,70}))', re.IGNORECASE)
NAME = re.compile(rb'form-data;.*?(?<![a-z])name="?([^";\r\n]*)"?', re.IGNORECASE)


def find_file(content_type: str, body: bytes, name: str) -> bytes | None:
    """The content of the part of this name; None where the body has none."""
    found = BOUNDARY.search(content_type)
    if found is None:
        return None
    mark = b"--" + (found[1] or found[2]).encode("latin-1")
    for part in (b"\r\n" + body).split(b"\r\n" + mark)[1:]:
        head, blank, content = part.partition(b"\r\n\r\n")
        named = NAME.search(head)
        if blank and named is not None and named[1] == name.encode():
            return content
    return None
