"""Answers written down word for word under `answers/`: what a contract leaves open, and nobody else looks at.

RECORD_ANSWERS=1 writes them anew, without `-n`; the diff then says what has changed.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["kept"]

FOLDER = Path(__file__).resolve().parents[1] / "contracts" / "answers"


def kept(file: str, name: str, now: Any) -> Any:
    """What is written down in a file under this name; `now` itself while it is being written."""
    rows = _rows(file)
    if os.environ.get("RECORD_ANSWERS") and rows.get(name) != now:
        rows[name] = now
        FOLDER.mkdir(exist_ok=True)
        lines = (f"{json.dumps(each)}: {json.dumps(rows[each], ensure_ascii=False)}" for each in sorted(rows))
        (FOLDER / f"{file}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return rows.get(name)


@cache
def _rows(file: str) -> dict[str, Any]:
    path = FOLDER / f"{file}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
