"""Finds a file in a multipart/form-data body. Knows no picture."""

from __future__ import annotations

import re

__all__ = ["find_file"]

BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^";,\s]{1,70}))', re.IGNORECASE)
NAME = re.compile(rb'form-data;.*?(?<![a-z])name="?([^";\r\n]*)"?', re.IGNORECASE)
MOST_PARTS, LONGEST_HEAD = 64, 2048  # the search for a name takes the square of a head's length


def find_file(content_type: str, body: bytes, name: str) -> bytes | None:
    """The content of the part of this name; None where the body has none among its first parts."""
    found = BOUNDARY.search(content_type)
    if found is None:
        return None
    mark = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
    at = -2 if body.startswith(mark[2:]) else body.find(mark)  # the first mark needs no line before it
    if at == -1:
        return None
    for _ in range(MOST_PARTS):
        begin = at + len(mark)
        at = body.find(mark, begin)
        end = at if at >= 0 else len(body)
        blank = body.find(b"\r\n\r\n", begin, min(end, begin + LONGEST_HEAD))
        named = NAME.search(body, begin, blank) if blank >= 0 else None
        if named is not None and named[1] == name.encode():
            return body[blank + 4 : end]
        if at < 0:
            return None
    return None
