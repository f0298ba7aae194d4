"""Checks the response headers that a stub or a fault sets."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["check_headers"]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")  # RFC 9110, 5.6.2
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,8000}")
OF_THE_SERVER = frozenset(("connection", "content-length", "date", "transfer-encoding"))


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with names in lower case.

    Raises:
        ValueError: A name or value cannot be sent; the text begins with `headers.NAME`.
    """
    for name, value in headers.items():
        if not TOKEN.fullmatch(name):
            raise ValueError(f"headers.{name[:40]}: not a header name; use letters, digits and hyphens")
        if name.lower() in OF_THE_SERVER:
            raise ValueError(f"headers.{name}: the server sets it; leave it out")
        if not VALUE.fullmatch(value):
            raise ValueError(f"headers.{name}: not a header value; use one line of Latin-1 text")
    return {name.lower(): value for name, value in headers.items()}
