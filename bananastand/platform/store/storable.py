"""Checks that texts can be stored and sent: JSON can hold lone surrogates, which no encoding has."""

from __future__ import annotations

import json
from typing import Any

from ..errors import Refused

__all__ = ["check_text"]


def check_text(field: str, value: Any) -> None:
    """Check a text, or all texts in lists and objects.

    Args:
        field: The value's name, for the error.
        value: Parsed JSON.

    Raises:
        Refused: It contains half of a surrogate pair.
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])
        raise Refused(f"{field}: {half} is half of a character, send the whole pair") from None
