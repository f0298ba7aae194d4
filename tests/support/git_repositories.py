"""Commits and pushes of repositories that a test makes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from servers import PlatformProcess

__all__ = ["commit", "git", "push"]

ALONE = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "no_proxy": "*"}
IDENTITY = ("-c", "user.name=me", "-c", "user.email=me@example.com", "-c", "init.defaultBranch=main")


def git(folder: Path, *words: str, check: bool = True, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run git in a folder, without the machine's own configuration."""
    environment = {**os.environ, **ALONE, **environ}
    return subprocess.run(
        ["git", *IDENTITY, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=check
    )


def commit(folder: Path, when: str | None = None, subject: str = "a commit") -> str:
    """Commit all files of a folder, which becomes a repository; returns the commit's id.

    Args:
        folder: Of the files.
        when: The time of the commit; now by default.
        subject: Its message.
    """
    dates = {} if when is None else {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", subject, **dates)
    return git(folder, "rev-parse", "HEAD").stdout.strip()


def push(folder: Path, up: PlatformProcess, name: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
    """Push the main branch to a platform."""
    url = f"http://me:{key or up.key}@127.0.0.1:{up.port}/git/{name}.git"
    return git(folder, "push", url, "main", check=False)
