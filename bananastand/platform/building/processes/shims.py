"""Programs put before apt, pip and conda while a RUN line's scripts run: they note what a script asks for.

What an image's system would get is the machine's, and packages belong into the build's environment. So a script's
`apt-get install` and `pip install` are written down, and done where the same words in a Dockerfile would be.
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
    """The folder with the programs, written where it is not there yet."""
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
    """What scripts asked for: the folder they were in, and the words. The notes are taken away."""
    file = root / NOTES
    if not file.is_file():
        return
    text = file.read_text(encoding="utf-8", errors="replace")
    file.unlink()
    for line in text.split(f"{SEPARATOR}\n"):
        folder, *words = line.split(SEPARATOR)
        if words:
            yield folder, tuple(words)
