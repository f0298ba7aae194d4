"""Renders the kernel's own HTML pages from `templates/`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..templates import render_template

__all__ = ["render"]

TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **values: Any) -> bytes:
    """Return a page in UTF-8; values are escaped."""
    return render_template(TEMPLATES, template, FILTERS, **{"error": "", "world": None, **values})


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _seconds_text(seconds: float) -> str:
    return _iso(seconds)[:19].replace("T", " ")


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _number(value: float) -> str:
    return f"{value:g}"


FILTERS = {"iso": _iso, "seconds_text": _seconds_text, "compact": _compact, "pretty": _pretty, "number": _number}
