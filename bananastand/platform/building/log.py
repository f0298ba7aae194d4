"""The log of a build: lines without secrets, up to a limit."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable

__all__ = ["BuildLog", "LineRecorder"]

LONGEST = 4000  # characters of a line
CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+(?=@)")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


class BuildLog:
    """Writes lines without secrets and without credentials in URLs, and stops after `largest` characters."""

    def __init__(self, write: Callable[[str], None], secrets: Iterable[str] = (), largest: int = 4 * 2**20) -> None:
        self._write, self._left = write, largest
        lines = (line.strip() for secret in secrets for line in (secret, *secret.splitlines()))
        self._secrets = sorted({line for line in lines if len(line) > 3}, key=len, reverse=True)
        self.tail = deque[str](maxlen=200)

    def __call__(self, line: str) -> None:
        """Write a line."""
        text = self.clean(line)[:LONGEST]
        self.tail.append(text)
        if self._left <= 0:
            return
        self._left -= len(text) + 1
        self._write(text)
        if self._left <= 0:
            self._write("the log has reached its limit; the build goes on, and what it says is left out")

    def clean(self, text: str) -> str:
        """Return the text without secrets, colours and control characters."""
        text = CREDENTIALS.sub("***", CONTROL.sub("", text))
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


class LineRecorder:
    """Passes lines on to a log and keeps them, so that a failure can be explained from what a program printed."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log, self.lines = log, list[str]()

    def __call__(self, line: str) -> None:
        """Keep a line and pass it on."""
        self.lines.append(line)
        self._log(line)
