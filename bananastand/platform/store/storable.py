"""Texts that can be stored and sent: JSON can hold halves of characters, which no encoding has. Knows no field."""

from __future__ import annotations

import json
from typing import Any

from ..errors import Refused

__all__ = ["check_text"]


def check_text(what: str, value: Any) -> None:
    """Check a text, or all texts in lists and objects.

    Args:
        what: The value's name, for the error.
        value: Parsed JSON.

    Raises:
        Refused: There is half of a surrogate pair in it.
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])
        raise Refused(f"{what}: {half} is half of a character, send the whole pair") from None
