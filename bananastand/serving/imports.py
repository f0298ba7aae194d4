"""Notes what an app has imported, for a parent that forks servers of it (`parent`)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

__all__ = ["note"]


def note(path: Path) -> None:
    """Write the names of the modules that are imported, but for those of the app's own folder."""
    own, names = f"{os.getcwd()}{os.sep}", list[str]()
    for name, module in list(sys.modules.items()):
        where = getattr(module, "__file__", None) or ""
        if where and (not where.startswith(own) or "site-packages" in where) and name != "__main__":
            names.append(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(names), encoding="utf-8")
    aside.replace(path)
