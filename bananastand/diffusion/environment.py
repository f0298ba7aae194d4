"""Reads the engine's options from environment variables."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["options_from_environment"]

VARIABLES = {
    "mode": "BANANASTAND_MODE",
    "policy": "BANANASTAND_POLICY",
    "batch_size": "BANANASTAND_ROWS",
    "queue": "BANANASTAND_QUEUE",
}
NUMBERS = ("batch_size", "queue")


def options_from_environment() -> dict[str, Any]:
    """Return the options of Engine.load that are set: BANANASTAND_MODE, _POLICY, _ROWS (the batch size) and _QUEUE.

    Raises:
        ValueError: A number is none, or is out of range.
    """
    options: dict[str, Any] = {}
    for option, variable in VARIABLES.items():
        text = os.environ.get(variable, "").strip()
        if text and option in NUMBERS:
            if not text.isdecimal() or not 1 <= int(text) <= 10_000:
                raise ValueError(f"{variable} is {text!r}; a whole number from 1 to 10000 is allowed")
            options[option] = int(text)
        elif text:
            options[option] = text
    return options
