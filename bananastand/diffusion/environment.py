"""The engine's options as environment variables, which is how containers are told things."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["options_from_environment"]


def options_from_environment() -> dict[str, Any]:
    """Options for Engine.load: BANANASTAND_MODE, _POLICY, _ROWS and _QUEUE; what is not set is not among them.

    Raises ValueError where a number is none.
    """
    options: dict[str, Any] = {}
    for option in ("mode", "policy", "rows", "queue"):
        variable = f"BANANASTAND_{option.upper()}"
        text = os.environ.get(variable, "").strip()
        if text and option in ("rows", "queue"):
            if not text.isdecimal() or not 1 <= int(text) <= 10_000:
                raise ValueError(f"{variable} is {text!r}; a whole number from 1 to 10000 is allowed")
            options[option] = int(text)
        elif text:
            options[option] = text
    return options
