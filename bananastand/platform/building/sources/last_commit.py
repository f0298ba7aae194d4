"""The date of a folder's last commit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ...environment import inherited

__all__ = ["date_files", "last_commit"]

# A stranger's .git/config may name programs: none of them runs for this command.
SAFE = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false")


def last_commit(source: Path) -> str | None:
    """Return the time of a folder's last commit in ISO 8601; None unless it is the top of a git repository."""
    if not (source / ".git").exists():
        return None
    command = ["git", "--no-pager", *SAFE, "-C", str(source), "log", "-1", "--no-show-signature", "--format=%cI"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=20, env=inherited(os.environ), check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def date_files(folder: Path, when: float) -> None:
    """Set the time of all files of a checkout to its commit's, in seconds since 1970; 0 changes nothing."""
    for place, _, names in os.walk(folder) if when > 0 else ():
        for name in names:
            os.utime(os.path.join(place, name), (when, when), follow_symlinks=False)
