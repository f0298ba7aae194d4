"""The rule for symbolic links in a source: they stay, unless they lead out of it."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import SourceRefused

__all__ = ["refuse_links_out"]


def refuse_links_out(folder: Path) -> None:
    """Check every link below a folder. Raises SourceRefused for one that leads out of it."""
    real = folder.resolve()
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place, name)
            if not path.is_symlink():
                continue
            points = os.readlink(path)
            try:
                leads_out = os.path.isabs(points) or not path.resolve().is_relative_to(real)
            except (OSError, RuntimeError):  # a circle
                leads_out = True
            if leads_out:
                raise SourceRefused(
                    f"{path.relative_to(folder)} is a link to {points[:200]}, which is outside of the source"
                )
