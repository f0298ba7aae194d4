"""Programs that replace apt, pip and conda while scripts of a RUN line run, and note what a script asks for.

A script's `apt-get install` and `pip install` are noted and handled as the same words of a Dockerfile are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["NOTES", "read_notes", "write_shims"]

NOTES = "tmp/.bananastand-notes"  # below the tree's root
SEPARATOR = "\x1f"
NAMES = ("apt", "apt-get", "aptitude", "apk", "yum", "dnf", "dpkg", "apt-key", "add-apt-repository", "pip", "pip3",
         "conda", "mamba", "micromamba", "ldconfig", "update-alternatives", "update-ca-certificates", "locale-gen",
         "chown", "chgrp", "useradd", "groupadd", "adduser", "usermod")  # fmt: skip
NOTE = """#!/bin/sh
{{ printf '%s\\037' "$PWD" "{name}" "$@"; printf '\\n'; }} >> "${{BANANASTAND_NOTES:?}}"
exit 0
"""
SUDO = """#!/bin/sh
while [ "${1#-}" != "$1" ] || [ "${1#*=}" != "$1" ]; do shift; done
exec "$@"
"""


def write_shims(folder: Path) -> Path:
    """Write the programs where they are missing, and return their folder."""
    for name in (*NAMES, "sudo"):
        place, text = folder / name, SUDO if name == "sudo" else NOTE.format(name=name)
        if not place.is_file() or place.read_text(encoding="utf-8") != text:
            folder.mkdir(parents=True, exist_ok=True)
            fresh = folder / f".{name}.new"
            fresh.write_text(text, encoding="utf-8")
            fresh.chmod(0o755)
            fresh.replace(place)
    return folder


def read_notes(root: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the folder and words of each noted command, and delete the notes."""
    file = root / NOTES
    if not file.is_file():
        return
    text = file.read_text(encoding="utf-8", errors="replace")
    file.unlink()
    for line in text.split(f"{SEPARATOR}\n"):
        folder, *words = line.split(SEPARATOR)
        if words:
            yield folder, tuple(words)
